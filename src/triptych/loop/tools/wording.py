"""The words of the retail tools, as the public benchmark gives them: they are the contract with the model.

A test compares them with the benchmark's own file.
"""

from __future__ import annotations

CALCULATE = "Calculate the result of a mathematical expression."
CANCEL_PENDING_ORDER = (
    "Cancel a pending order. If the order is already processed or delivered, it cannot be cancelled. The agent"
    " needs to explain the cancellation detail and ask for explicit user confirmation (yes/no) to proceed. If "
    "the user confirms, the order status will be changed to 'cancelled' and the payment will be refunded. The "
    "refund will be added to the user's gift card balance immediately if the payment was made using a gift "
    "card, otherwise the refund would take 5-7 business days to process. The function returns the order "
    "details after the cancellation."
)
EXCHANGE_DELIVERED_ORDER_ITEMS = (
    "Exchange items in a delivered order to new items of the same product type. For a delivered order, return "
    "or exchange can be only done once by the agent. The agent needs to explain the exchange detail and ask "
    "for explicit user confirmation (yes/no) to proceed."
)
FIND_USER_ID_BY_EMAIL = "Find user id by email. If the user is not found, the function will return an error message."
FIND_USER_ID_BY_NAME_ZIP = (
    "Find user id by first name, last name, and zip code. If the user is not found, the function will return "
    "an error message. By default, find user id by email, and only call this function if the user is not found"
    " by email or cannot remember email."
)
GET_ORDER_DETAILS = "Get the status and details of an order."
GET_PRODUCT_DETAILS = "Get the inventory details of a product."
GET_USER_DETAILS = "Get the details of a user, including their orders."
LIST_ALL_PRODUCT_TYPES = (
    "List the name and product id of all product types. Each product type has a variety of different items "
    "with unique item ids and options. There are only 50 product types in the store."
)
MODIFY_PENDING_ORDER_ADDRESS = (
    "Modify the shipping address of a pending order. The agent needs to explain the modification detail and "
    "ask for explicit user confirmation (yes/no) to proceed."
)
MODIFY_PENDING_ORDER_ITEMS = (
    "Modify items in a pending order to new items of the same product type. For a pending order, this function"
    " can only be called once. The agent needs to explain the exchange detail and ask for explicit user "
    "confirmation (yes/no) to proceed."
)
MODIFY_PENDING_ORDER_PAYMENT = (
    "Modify the payment method of a pending order. The agent needs to explain the modification detail and ask "
    "for explicit user confirmation (yes/no) to proceed."
)
MODIFY_USER_ADDRESS = (
    "Modify the default address of a user. The agent needs to explain the modification detail and ask for "
    "explicit user confirmation (yes/no) to proceed."
)
RETURN_DELIVERED_ORDER_ITEMS = (
    "Return some items of a delivered order. The order status will be changed to 'return requested'. The agent"
    " needs to explain the return detail and ask for explicit user confirmation (yes/no) to proceed. The user "
    "will receive follow-up email for how and where to return the item."
)
THINK = (
    "Use the tool to think about something. It will not obtain new information or change the database, but "
    "just append the thought to the log. Use it when complex reasoning or some cache memory is needed."
)
TRANSFER_TO_HUMAN_AGENTS = (
    "Transfer the user to a human agent, with a summary of the user's issue. Only transfer if the user "
    "explicitly asks for a human agent, or if the user's issue cannot be resolved by the agent with the "
    "available tools."
)

EXPRESSION = (
    "The mathematical expression to calculate, such as '2 + 2'. The expression can contain numbers, operators "
    "(+, -, *, /), parentheses, and spaces."
)
ORDER_ID = "The order id, such as '#W0000000'. Be careful there is a '#' symbol at the beginning of the order id."
CANCEL_REASON = "The reason for cancellation, which should be either 'no longer needed' or 'ordered by mistake'."
ITEM_IDS_TO_EXCHANGE = (
    "The item ids to be exchanged, each such as '1008292230'. There could be duplicate items in the list."
)
NEW_ITEM_IDS_TO_EXCHANGE = (
    "The item ids to be exchanged for, each such as '1008292230'. There could be duplicate items in the list. "
    "Each new item id should match the item id in the same position and be of the same product."
)
PAYMENT_METHOD_ID = (
    "The payment method id to pay or receive refund for the item price difference, such as 'gift_card_0000000'"
    " or 'credit_card_0000000'. These can be looked up from the user or order details."
)
EMAIL = "The email of the user, such as 'something@example.com'."
FIRST_NAME = "The first name of the customer, such as 'John'."
LAST_NAME = "The last name of the customer, such as 'Doe'."
ZIP_OF_CUSTOMER = "The zip code of the customer, such as '12345'."
PRODUCT_ID = "The product id, such as '6086499569'. Be careful the product id is different from the item id."
USER_ID = "The user id, such as 'sara_doe_496'."
ADDRESS1 = "The first line of the address, such as '123 Main St'."
ADDRESS2 = "The second line of the address, such as 'Apt 1' or ''."
CITY = "The city, such as 'San Francisco'."
STATE = "The state, such as 'CA'."
COUNTRY = "The country, such as 'USA'."
ZIP = "The zip code, such as '12345'."
ITEM_IDS_TO_MODIFY = (
    "The item ids to be modified, each such as '1008292230'. There could be duplicate items in the list."
)
NEW_ITEM_IDS_TO_MODIFY = (
    "The item ids to be modified for, each such as '1008292230'. There could be duplicate items in the list. "
    "Each new item id should match the item id in the same position and be of the same product."
)
ITEM_IDS_TO_RETURN = (
    "The item ids to be returned, each such as '1008292230'. There could be duplicate items in the list."
)
THOUGHT = "A thought to think about."
SUMMARY = "A summary of the user's issue."
