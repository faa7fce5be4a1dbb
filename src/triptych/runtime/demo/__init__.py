"""`triptych demo`: the product's main job before one's eyes.

Everything here only watches, apart from one kill and one answer: the work is done by the deployed flows, and what was
killed comes back by what `triptych up` starts. These processes do not import Prefect; they look at the API from
outside, as a user would.
"""
