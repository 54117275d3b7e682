"""`stoker reset`: the order that forgets a zone's latched fault, given and waited for as by `stoker set`."""

from argparse import Namespace

from stoker.cli import set as order


def main(arguments: Namespace) -> int:
    """Order, and say what became of it."""
    return order.main(Namespace(**vars(arguments), subject="fault", value="reset"))
