"""The order desk's tools. A function's docstring and types are what the model reads of it; `state`
is the dialogue's own and is never shown to the model.
"""

from __future__ import annotations


def find_order(state: dict, order_number: str, postcode: str) -> dict:
    """Look an order up. Needs the order number and the delivery postcode, which must both match."""
    order = state["orders"].get(order_number.upper())
    if order is None or order["postcode"] != postcode.strip():
        raise ValueError("order number and postcode do not both match")
    return {name: value for name, value in order.items() if name != "postcode"}


def move_slot(state: dict, order_number: str, day: str, fee: int = 0) -> str:
    """Move a delivery to another free day.

    Args:
        order_number: as found with find_order.
        day: one of the order's free slots, as YYYY-MM-DD.
        fee: what the customer is charged for it, in euros.
    """
    order = _order(state, order_number)
    if day not in order["free_slots"]:
        raise ValueError(f"{day} is not free; free are {', '.join(order['free_slots']) or 'none'}")
    order["free_slots"].remove(day)
    order["slot"] = day
    order["charges"] += fee
    return f"moved to {day}, {fee} euros charged"


def cancel_order(state: dict, order_number: str, fee_percent: int = 0) -> str:
    """Cancel an order, keeping a share of its price.

    Args:
        order_number: as found with find_order.
        fee_percent: the share kept, 0 to 100.
    """
    order = _order(state, order_number)
    order["status"] = "cancelled"
    return f"cancelled, {fee_percent} percent kept"


def _order(state: dict, order_number: str) -> dict:
    if order_number.upper() not in state["orders"]:
        raise ValueError(f"there is no order {order_number}")
    return state["orders"][order_number.upper()]
