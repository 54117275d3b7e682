/* The floor: the same work in C on libmosquitto, in one thread that never wakes without a reason.
 * cc -O2 -o floor floor.c -lmosquitto */
#include <fcntl.h>
#include <mosquitto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int relay, waiting;
static bool reports[4096];

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static const char *env(const char *name)
{
	const char *value = getenv(name);
	if (!value) {
		fprintf(stderr, "%s is not set\n", name);
		exit(2);
	}
	return value;
}

static void connected(struct mosquitto *line, void *unused, int failure)
{
	(void)unused;
	if (!failure)
		mosquitto_subscribe(line, NULL, "RELAY/set", 1);
}

static void ordered(struct mosquitto *line, void *unused, const struct mosquitto_message *order)
{
	(void)line, (void)unused;
	bool on = order->payloadlen == 2 && !memcmp(order->payload, "ON", 2);
	if (!on && !(order->payloadlen == 3 && !memcmp(order->payload, "OFF", 3)))
		return;
	if (waiting == sizeof reports || write(relay, on ? "1" : "0", 1) != 1)
		abort();
	reports[waiting++] = on;
}

static void say_temperature(struct mosquitto *line)
{
	char text[256];
	int file = open(env("BENCH_SENSOR"), O_RDONLY);
	ssize_t size = file < 0 ? 0 : read(file, text, sizeof text - 1);
	if (file >= 0)
		close(file);
	text[size > 0 ? size : 0] = 0;
	char *milli = strstr(text, "YES") ? strstr(text, "t=") : NULL;
	if (!milli)
		return;
	int length = snprintf(text, sizeof text, "%.2f", atoi(milli + 2) / 1000.0);
	mosquitto_publish(line, NULL, "TEMPERATURE", length, text, 1, false);
}

int main(void)
{
	double interval = atof(env("BENCH_INTERVAL")), due = now();
	int keepalive = atoi(env("BENCH_KEEPALIVE"));
	relay = open(env("BENCH_RELAY"), O_WRONLY | O_APPEND);
	mosquitto_lib_init();
	struct mosquitto *line = mosquitto_new("floor", true, NULL);
	mosquitto_username_pw_set(line, env("BENCH_USER"), env("BENCH_PASSWORD"));
	mosquitto_tls_set(line, env("BENCH_CA"), NULL, NULL, NULL, NULL);
	mosquitto_int_option(line, MOSQ_OPT_TCP_NODELAY, 1);
	mosquitto_max_inflight_messages_set(line, 0);
	mosquitto_connect_callback_set(line, connected);
	mosquitto_message_callback_set(line, ordered);
	int failure = mosquitto_connect(line, env("BENCH_HOST"), atoi(env("BENCH_PORT")), keepalive);
	for (;;) {
		double wait = due - now(), most = keepalive / 4.0; /* the library looks at its keepalive after each loop */
		wait = wait < 0 ? 0 : wait < most ? wait : most;
		if (!failure)
			failure = mosquitto_loop(line, (int)(wait * 1000 + 1), 1);
		for (int i = 0; i < waiting; i++)
			mosquitto_publish(line, NULL, "RELAY", reports[i] ? 2 : 3, reports[i] ? "ON" : "OFF", 1, true);
		waiting = 0;
		if (now() >= due) {
			say_temperature(line);
			due = due + interval > now() ? due + interval : now();
		}
		if (failure) {
			sleep(1);
			failure = mosquitto_reconnect(line);
		}
	}
}
