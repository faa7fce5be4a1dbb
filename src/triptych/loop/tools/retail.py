"""The 16 tools of the retail support agent; names, arguments and descriptions are those of the public benchmark."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field
from pydantic_ai import FunctionToolset, RunContext

from triptych.loop.approvals import above_threshold
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk, lookups, rules
from triptych.loop.tools import arithmetic, payouts, wording
from triptych.loop.tools.execution import changing_tool, look_up, reading_tool, take_effect

Ctx: TypeAlias = RunContext[DeskDeps]

OrderId = Annotated[str, Field(description=wording.ORDER_ID)]
UserId = Annotated[str, Field(description=wording.USER_ID)]
PaymentMethodId = Annotated[str, Field(description=wording.PAYMENT_METHOD_ID)]
CancelReason = Annotated[Literal["no longer needed", "ordered by mistake"], Field(description=wording.CANCEL_REASON)]
Address1 = Annotated[str, Field(description=wording.ADDRESS1)]
Address2 = Annotated[str, Field(description=wording.ADDRESS2)]
City = Annotated[str, Field(description=wording.CITY)]
State = Annotated[str, Field(description=wording.STATE)]
Country = Annotated[str, Field(description=wording.COUNTRY)]
Zip = Annotated[str, Field(description=wording.ZIP)]


def calculate(ctx: Ctx, expression: Annotated[str, Field(description=wording.EXPRESSION)]) -> str:
    """See `wording.CALCULATE`."""

    def result(_desk: OrderDesk, *, expression: str) -> str:
        return arithmetic.calculate(expression)

    return look_up(ctx, result, expression=expression)


def cancel_pending_order(ctx: Ctx, order_id: OrderId, reason: CancelReason) -> str:
    """See `wording.CANCEL_PENDING_ORDER`."""
    return take_effect(ctx, rules.cancel_pending_order, order_id=order_id, reason=reason)


def exchange_delivered_order_items(
    ctx: Ctx,
    order_id: OrderId,
    item_ids: Annotated[list[str], Field(description=wording.ITEM_IDS_TO_EXCHANGE)],
    new_item_ids: Annotated[list[str], Field(description=wording.NEW_ITEM_IDS_TO_EXCHANGE)],
    payment_method_id: PaymentMethodId,
) -> str:
    """See `wording.EXCHANGE_DELIVERED_ORDER_ITEMS`."""
    return take_effect(
        ctx,
        rules.exchange_delivered_order_items,
        order_id=order_id,
        item_ids=item_ids,
        new_item_ids=new_item_ids,
        payment_method_id=payment_method_id,
    )


def find_user_id_by_email(ctx: Ctx, email: Annotated[str, Field(description=wording.EMAIL)]) -> str:
    """See `wording.FIND_USER_ID_BY_EMAIL`."""
    return look_up(ctx, lookups.find_user_id_by_email, email=email)


def find_user_id_by_name_zip(
    ctx: Ctx,
    first_name: Annotated[str, Field(description=wording.FIRST_NAME)],
    last_name: Annotated[str, Field(description=wording.LAST_NAME)],
    zip: Annotated[str, Field(description=wording.ZIP_OF_CUSTOMER)],
) -> str:
    """See `wording.FIND_USER_ID_BY_NAME_ZIP`."""
    return look_up(ctx, lookups.find_user_id_by_name_zip, first_name=first_name, last_name=last_name, zip=zip)


def get_order_details(ctx: Ctx, order_id: OrderId) -> str:
    """See `wording.GET_ORDER_DETAILS`."""
    return look_up(ctx, lookups.get_order_details, order_id=order_id)


def get_product_details(ctx: Ctx, product_id: Annotated[str, Field(description=wording.PRODUCT_ID)]) -> str:
    """See `wording.GET_PRODUCT_DETAILS`."""
    return look_up(ctx, lookups.get_product_details, product_id=product_id)


def get_user_details(ctx: Ctx, user_id: UserId) -> str:
    """See `wording.GET_USER_DETAILS`."""
    return look_up(ctx, lookups.get_user_details, user_id=user_id)


def list_all_product_types(ctx: Ctx) -> str:
    """See `wording.LIST_ALL_PRODUCT_TYPES`."""
    return look_up(ctx, lookups.list_all_product_types)


def modify_pending_order_address(
    ctx: Ctx,
    order_id: OrderId,
    address1: Address1,
    address2: Address2,
    city: City,
    state: State,
    country: Country,
    zip: Zip,
) -> str:
    """See `wording.MODIFY_PENDING_ORDER_ADDRESS`."""
    return take_effect(
        ctx,
        rules.modify_pending_order_address,
        order_id=order_id,
        address1=address1,
        address2=address2,
        city=city,
        state=state,
        country=country,
        zip=zip,
    )


def modify_pending_order_items(
    ctx: Ctx,
    order_id: OrderId,
    item_ids: Annotated[list[str], Field(description=wording.ITEM_IDS_TO_MODIFY)],
    new_item_ids: Annotated[list[str], Field(description=wording.NEW_ITEM_IDS_TO_MODIFY)],
    payment_method_id: PaymentMethodId,
) -> str:
    """See `wording.MODIFY_PENDING_ORDER_ITEMS`."""
    return take_effect(
        ctx,
        rules.modify_pending_order_items,
        order_id=order_id,
        item_ids=item_ids,
        new_item_ids=new_item_ids,
        payment_method_id=payment_method_id,
    )


def modify_pending_order_payment(ctx: Ctx, order_id: OrderId, payment_method_id: PaymentMethodId) -> str:
    """See `wording.MODIFY_PENDING_ORDER_PAYMENT`."""
    return take_effect(ctx, rules.modify_pending_order_payment, order_id=order_id, payment_method_id=payment_method_id)


def modify_user_address(
    ctx: Ctx,
    user_id: UserId,
    address1: Address1,
    address2: Address2,
    city: City,
    state: State,
    country: Country,
    zip: Zip,
) -> str:
    """See `wording.MODIFY_USER_ADDRESS`."""
    return take_effect(
        ctx,
        rules.modify_user_address,
        user_id=user_id,
        address1=address1,
        address2=address2,
        city=city,
        state=state,
        country=country,
        zip=zip,
    )


def return_delivered_order_items(
    ctx: Ctx,
    order_id: OrderId,
    item_ids: Annotated[list[str], Field(description=wording.ITEM_IDS_TO_RETURN)],
    payment_method_id: PaymentMethodId,
) -> str:
    """See `wording.RETURN_DELIVERED_ORDER_ITEMS`."""
    return take_effect(
        ctx,
        rules.return_delivered_order_items,
        order_id=order_id,
        item_ids=item_ids,
        payment_method_id=payment_method_id,
    )


def think(ctx: Ctx, thought: Annotated[str, Field(description=wording.THOUGHT)]) -> str:
    """See `wording.THINK`."""

    def result(_desk: OrderDesk, *, thought: str) -> str:
        del thought
        return ""

    return look_up(ctx, result, thought=thought)


def transfer_to_human_agents(ctx: Ctx, summary: Annotated[str, Field(description=wording.SUMMARY)]) -> str:
    """See `wording.TRANSFER_TO_HUMAN_AGENTS`."""
    return take_effect(ctx, rules.transfer_to_human_agents, summary=summary)


def retail_toolset() -> FunctionToolset[DeskDeps]:
    """A new toolset of all 16 tools, under the id `retail`."""
    return FunctionToolset(
        [
            reading_tool(calculate, description=wording.CALCULATE),
            changing_tool(
                cancel_pending_order,
                description=wording.CANCEL_PENDING_ORDER,
                approval=above_threshold(payouts.of_cancelling),
            ),
            changing_tool(exchange_delivered_order_items, description=wording.EXCHANGE_DELIVERED_ORDER_ITEMS),
            reading_tool(find_user_id_by_email, description=wording.FIND_USER_ID_BY_EMAIL),
            reading_tool(find_user_id_by_name_zip, description=wording.FIND_USER_ID_BY_NAME_ZIP),
            reading_tool(get_order_details, description=wording.GET_ORDER_DETAILS),
            reading_tool(get_product_details, description=wording.GET_PRODUCT_DETAILS),
            reading_tool(get_user_details, description=wording.GET_USER_DETAILS),
            reading_tool(list_all_product_types, description=wording.LIST_ALL_PRODUCT_TYPES),
            changing_tool(modify_pending_order_address, description=wording.MODIFY_PENDING_ORDER_ADDRESS),
            changing_tool(modify_pending_order_items, description=wording.MODIFY_PENDING_ORDER_ITEMS),
            changing_tool(modify_pending_order_payment, description=wording.MODIFY_PENDING_ORDER_PAYMENT),
            changing_tool(modify_user_address, description=wording.MODIFY_USER_ADDRESS),
            changing_tool(
                return_delivered_order_items,
                description=wording.RETURN_DELIVERED_ORDER_ITEMS,
                approval=above_threshold(payouts.of_returning),
            ),
            reading_tool(think, description=wording.THINK),
            changing_tool(transfer_to_human_agents, description=wording.TRANSFER_TO_HUMAN_AGENTS),
        ],
        id="retail",
    )
