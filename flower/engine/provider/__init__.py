"""Models: what one is, which there are, and asking them.

In order: ``base`` (what a turn asks of one) with ``capabilities``; ``registry`` (all there are) with ``setup``,
``endpoint`` and ``models``; ``retry`` (deadlines, retries, fallbacks) with ``gate`` and ``answers``; ``errors``
with ``error_body``. Text: ``text_prompts`` and ``chat_template`` on the way out, ``story_text`` on the way back.
The providers themselves are in ``services`` over ``http``, in ``llamacpp``, and in ``flower.engine.offline``.
"""
