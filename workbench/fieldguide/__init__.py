"""The default backbone: fact tables, the corpus and the exam made from them, the tokenizer and the pretraining."""
