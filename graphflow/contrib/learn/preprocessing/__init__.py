"""tf.contrib.learn.preprocessing: texts as rows of word numbers.

    processor = VocabularyProcessor(max_document_length=4)
    np.array(list(processor.fit_transform(["a dog", "a cat and a dog"])))      # [[1, 2, 0, 0], [1, 3, 4, 1]]
    processor.save("vocab"); VocabularyProcessor.restore("vocab")

Words are numbered from 1 in the order in which they are met; 0 stands for unknown words and fills up short texts.
"""

from graphflow.contrib.learn.preprocessing.categorical_vocabulary import CategoricalVocabulary
from graphflow.contrib.learn.preprocessing.text import ByteProcessor, VocabularyProcessor, tokenizer
from graphflow.missing import names_of

__all__ = ["ByteProcessor", "CategoricalVocabulary", "VocabularyProcessor", "tokenizer"]

globals()["__getattr__"] = names_of("contrib.learn.preprocessing")
