"""Git on the trusted side: repositories on their way into a box, and patches on their way out of it onto a branch.

No flow and no box is known here. Nothing ever runs git over files that a model wrote: a patch is all that comes out.
"""
