"""Which passages of lore and memory fit the moment.

In order: ``base`` (types), ``library`` (what others call) with its ``background``. Texts in: ``chunking``;
``folders`` with ``lore_files``. Vectors: ``embedder`` with ``embedding_models``, ``minilm``, ``tokenizers`` and
``native_check``. Indexes: ``vector_indexes``, each a ``scope_index`` with a graph of ``hnsw`` if it is large;
``keyword_indexes`` of ``keyword_index``. A recall: ``search`` from ``query`` by ``query_encoder``, ``candidates``,
``ranking`` and ``selection`` to passages; ``secrets`` says which of them a player does not read.
"""
