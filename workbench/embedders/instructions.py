"""The instructions that every embedder is saved with, by name.

A task's instruction is named as mteb looks prompts up: `<task>-query` where documents have one of their own (they get
"document"), `<task>` where both sides of a task are read alike, `<type>` for every other task of that type. So
`mteb.evaluate` finds them in a SentenceTransformer too. The wordings of single tasks are those of LLM2Vec-Gen
(arXiv 2603.10913v2, section 4.2 and tables 7 and 8), whose figures depend on them; what it leaves open is in our words.
"""

QUERY = "Generate text that best answers this question:"
DOCUMENT = "Summarize the following passage:"

_ONLY_PASSAGE = "Just output the passage text, no other text or description:"
_ONLY_QUESTION = "Just output the question description, no other text or description:"
_ONLY_TEXT = "Just output the text, no other text or description:"
_SIMILAR = "Generate text that is semantically similar to this text:"
_RELEVANT = "Generate a relevant document that answers this query:"

QUERIES = {
    "AdvBench-IR": _RELEVANT,
    "ArguAna": f"Generate text that refutes this claim. {_ONLY_TEXT}",
    "AskUbuntuDupQuestions": "Generate a duplicate question about the same issue as this Ubuntu question:",
    "ClimateFEVERHardNegatives": "Generate a Wikipedia-style passage that supports or refutes this climate change"
    f" claim. {_ONLY_PASSAGE}",
    "Core17InstructionRetrieval": _RELEVANT,
    "CQADupstackGamingRetrieval": "Generate a detailed question description similar to this gaming question."
    f" {_ONLY_QUESTION}",
    "CQADupstackUnixRetrieval": "Generate a detailed question description similar to this Unix question."
    f" {_ONLY_QUESTION}",
    "FEVERHardNegatives": f"Generate a Wikipedia-style text that supports or refutes this claim. {_ONLY_TEXT}",
    "FiQA2018": "Generate a detailed reply that answers this financial question. Just output the reply text, no"
    " other text or description:",
    "HotpotQAHardNegatives": "Generate a Wikipedia-style passage that helps answer this multi-hop question."
    f" {_ONLY_PASSAGE}",
    "MindSmallReranking": "Generate a short news article relevant to this news title:",
    "News21InstructionRetrieval": _RELEVANT,
    "NFCorpus": QUERY,
    "Robust04InstructionRetrieval": _RELEVANT,
    "SCIDOCS": "Generate an abstract of a scientific paper in a passage that could be cited by this paper. Just"
    " output the abstract text, no other text or description:",
    "SciFact": "Generate text that supports or refutes this claim:",
    "Touche2020Retrieval.v3": "Generate a detailed and persuasive argument that answers this question. Just output"
    " the argument text, no other text or description:",
    "TRECCOVID": f"Generate a scientific text that answers this COVID-19 query. {_ONLY_TEXT}",
}
"""What is put before the queries of a retrieval or reranking task."""

TEXTS = {
    "AmazonCounterfactualClassification": "Classify a given Amazon customer review text as either counterfactual or"
    " not-counterfactual:",
    "ArXivHierarchicalClusteringP2P": "Generate a paper abstract on the same research topic as this arXiv paper:",
    "ArXivHierarchicalClusteringS2S": "Generate a section paragraph that belongs to the same paper/topic as this"
    " section:",
    "Banking77Classification": "Given a online banking query, find the corresponding intents:",
    "BIOSSES": "Generate a biomedical sentence that is semantically similar to this sentence:",
    "BiorxivClusteringP2P.v2": "Generate a biomedical abstract on the same topic as this bioRxiv paper:",
    "EmotionClassification": "Classify the emotion expressed in the given Twitter message into one of the six"
    " emotions: anger, fear, joy, love, sadness, and surprise:",
    "ImdbClassification": "Classify the sentiment expressed in the given movie review text from the IMDB dataset:",
    "MassiveIntentClassification": "Classify the user's intent expressed in this utterance:",
    "MassiveScenarioClassification": "Classify the scenario/domain of this utterance:",
    "MedrxivClusteringP2P.v2": "Generate a clinical abstract on the same topic as this medRxiv paper:",
    "MedrxivClusteringS2S.v2": "Generate a section paragraph from the same clinical study/topic as this section:",
    "MTOPDomainClassification": "Classify the domain of this utterance (e.g., alarms, weather, music, navigation):",
    "SICK-R": "Generate a sentence that is semantically similar to this sentence:",
    "SprintDuplicateQuestions": "Generate a duplicate customer question expressing the same issue:",
    "StackExchangeClustering.v2": "Generate a StackExchange post on the same topic as this one:",
    "StackExchangeClusteringP2P.v2": "Generate a StackExchange post that belongs to the same topic as this post:",
    "STS12": _SIMILAR,
    "STS13": _SIMILAR,
    "STS14": _SIMILAR,
    "STS15": _SIMILAR,
    "STS17": _SIMILAR,
    "STS22.v2": _SIMILAR,
    "STSBenchmark": _SIMILAR,
    "SummEvalSummarization.v2": "Generate a concise and faithful summary of this article:",
    "ToxicConversationsClassification": "Classify whether the given comment is toxic or non-toxic:",
    "TweetSentimentExtractionClassification": "Classify the sentiment of the given tweet as positive, negative, or"
    " neutral:",
    "TwentyNewsgroupsClustering.v2": "Generate a message that belongs to the same newsgroup category as this post:",
    "TwitterSemEval2015": "Generate a tweet that is semantically similar to this tweet:",
    "TwitterURLCorpus": "Generate a tweet that discusses the same linked content/topic as this tweet:",
}
"""What is put before every text of a task whose two sides are alike, or that has one side only."""

BRIGHT = {
    "biology": ("Biology", "Given a biology post, generate relevant passages that help answer the post:"),
    "earth_science": (
        "EarthScience",
        "Given a earth science post, generate relevant passages that help answer the post:",
    ),
    "economics": ("Economics", "Given a task post, generate relevant passages that help answer the post:"),
    "psychology": (
        "Psychology",
        "Given a psychology post, generate relevant passages that help answer the post:",
    ),
    "robotics": ("Robotics", "Given a robotics post, generate relevant passages that help answer the post:"),
    "stackoverflow": (
        "Stackoverflow",
        "Given a stackoverflow post, generate relevant passages that help answer the post:",
    ),
    "sustainable_living": (
        "SustainableLiving",
        "Given a sustainable living post, generate relevant passages that help answer the post:",
    ),
    "pony": ("Pony", "Given a pony question, generate relevant passages that help answer the question:"),
    "leetcode": (
        "Leetcode",
        "Given a coding problem, generate relevant examples that help answer the problem:",
    ),
    "aops": ("Aops", "Given a Math problem, generate relevant examples that help answer the problem:"),
    "theoremqa_theorems": (
        "TheoremQATheorems",
        "Given a Math problem, only find the relevant theorems that help answer the problem, I don't want the"
        " answer to the problem:",
    ),
    "theoremqa_questions": (
        "TheoremQAQuestions",
        "Given a Math problem, generate relevant examples that help answer the problem:",
    ),
}
"""BRIGHT's splits: the name in mteb's tasks (`Bright<name>Retrieval`), and what is put before a query."""
PASSAGES_ONLY = ("leetcode", "aops", "theoremqa_theorems", "theoremqa_questions")
"""The splits of BRIGHT that have no task with whole documents (`Bright<name>LongRetrieval`)."""

TYPES = {
    "BitextMining": "Say in plain English what this text means:",
    "Classification": "Name the category that this text belongs to:",
    "Clustering": "Write another text on the same topic as this one:",
    "InstructionReranking-query": _RELEVANT,
    "InstructionRetrieval-query": _RELEVANT,
    "MultilabelClassification": "Name every category that this text belongs to:",
    "PairClassification": "Write a text that says the same as this one in other words:",
    "Regression": "Describe this text in one sentence:",
    "Reranking-query": _RELEVANT,
    "Retrieval-query": _RELEVANT,
    "STS": _SIMILAR,
    "Summarization": "Sum up this text in a few sentences:",
}
"""For tasks that have no instruction of their own, by mteb's type of task."""


def bright_task(split: str) -> str:
    """The name of mteb's task for a split of BRIGHT, such as "earth_science"."""
    return f"Bright{BRIGHT[split][0]}Retrieval"


PROMPTS = {
    "query": QUERY,
    "document": DOCUMENT,
    **TYPES,
    **{f"{task}-query": instruction for task, instruction in QUERIES.items()},
    **TEXTS,
    **{f"{bright_task(split)}-query": text for split, (_, text) in BRIGHT.items()},
    **{
        f"Bright{name}LongRetrieval-query": text
        for split, (name, text) in BRIGHT.items()
        if split not in PASSAGES_ONLY
    },
}
"""All of them by name: `prompts` of an embedder that is given no others."""
