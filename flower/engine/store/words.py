"""The words by which a text is found: cut, sorted by language, brought to their stems. Pure.

A word of a language with spaces becomes its stem (Snowball). Scripts that write no spaces (Chinese,
Japanese, Thai, Lao, Khmer, Burmese) become pairs of characters. Marks that belong to a letter, such as the
vowel signs of Hindi, never cut a word.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from snowballstemmer.basestemmer import BaseStemmer

# Letters with the marks that stand on them: Latin, Cyrillic, Hebrew, Arabic and the scripts of India and
# Southeast Asia. Without them Python's \w would cut "हिन्दी" into five pieces.
_MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u0900-\u0963\u0966-\u0dff\u0e31-\u0e4e\u0eb1-\u0ece\u102b-\u103e\u17b4-\u17d3"
)
_WORD = re.compile(rf"[^\W_](?:[^\W_]|[{_MARKS}])*")
# Hiragana, Katakana, Han, Thai, Lao, Burmese, Khmer.
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
    "\U00020000-\U0003134f]+"
)
UNKNOWN = "unknown"  # a language without a stemmer whose script is not Latin
_SCRIPTS = (  # of the first letter that decides; others are known by their common words
    ("russian", "\u0400", "\u052f"),
    ("greek", "\u0370", "\u03ff"),
    ("arabic", "\u0600", "\u06ff"),
    ("hindi", "\u0900", "\u097f"),
    ("tamil", "\u0b80", "\u0bff"),
    ("armenian", "\u0530", "\u058f"),
)
ENGLISH = "english"
_LAST_LATIN = "\u024f"
# Words that nearly every passage holds. They tell a language, and nothing else.
_COMMON = {
    ENGLISH: """
    a about above after again against all also am an and any are as at be because been before being
    below between both but by can could did do does doing down during each few for from further had
    has have having he her here hers herself him himself his how i if in into is it its itself just
    let like me more most my myself no nor not now of off on once only or other our ours ourselves
    out over own s said same say says she should so some such t tell than that the their theirs them
    themselves then there these they this those through to too under until up us very was we were
    what when where which while who whom why will with would you your yours yourself d ll m re ve
    don didn doesn isn wasn won
    """,
    "german": """
    aber als also am an auch auf aus bei bin bis bist da damit dann das dass dein dem den der des dich die
    dies diese diesem diesen dieser dir doch dort du durch ein eine einem einen einer er es für hat hatte
    hatten haben habe hier ich ihm ihn ihr ihre im in ist ja jede kann kein keine man mehr mein mich mir
    mit nach nicht noch nur ob oder ohne sehr sein seine sich sie sind so über um und uns unter vom von
    vor war waren was wann warum weil welche welchem welchen welcher welches wem wen wenn wer werden wie
    wieder wird wir wo woher wohin womit worin worum würde wurde zu zum zur
    """,
    "french": """
    à au aux avec ce ces cette comme d dans de des du elle elles en est et étaient était eux fait il ils j
    je l la le les leur leurs lui m ma mais me même mes moi mon n ne nos notre nous on ont ou où par pas
    pour pourquoi quand que quel quelle quels quelles qui s sa sans se ses si son sont sur ta te tes toi
    ton tu un une vos votre vous y
    """,
    "spanish": """
    a al algo como con cómo cuál cuándo cuánto de del desde donde dónde e el ella ellas ellos en entre era
    es esa ese eso esta está este esto estos fue ha había han hasta la las le les lo los más me mi mis muy
    nada no nos o otra otro para pero por porque qué que quién se ser si sí sin sobre son su sus también
    te tu un una uno y ya yo
    """,
    "italian": """
    a ad ai al alla alle anche che chi ci come con cosa cui da dal dalla dei del della delle di dove e è ed
    era gli ha hai hanno ho i il in io la le lei lo loro lui ma mi mia mio ne nel nella noi non o per
    perché più quale quando quanto quella quello questa questo se si sono su sua suo ti tra tu un una uno
    """,
    "portuguese": """
    a ao aos as até com como da das de dela dele do dos e é ela elas ele eles em entre era essa esse esta
    este eu foi há isso já lhe mais mas me meu minha muito na não nas nem no nos o onde os ou para pela
    pelo por porque qual quando quem que são se sem ser seu sua também te tem um uma você
    """,
    "dutch": """
    aan al als bij daar dat de den der deze die dit doch doen door dus een en er ge geen had heb hebben
    heeft hem het hier hij hoe hun ik in is ja je kan maar me meer men met mij mijn na naar niet nog nu of
    om ons ook op over te tot uit van veel voor waar wanneer waarom wat wel welke werd wie wij wil word
    wordt zich zij zijn zo zou
    """,
    "swedish": """
    alla allt att av blev då de dem den denna det detta dig din du där efter ej eller en er ett från för
    ha hade han har henne hennes hon honom hur här i icke inte jag kan man med men mig min mot mycket ni
    nu när någon något och om på sedan sig sin ska som så till under upp ut vad var vara varför vem vi
    vid vilken är över
    """,
    "turkish": """
    acaba ama bana bazı belki ben beni benim bir biri biz bu bunu çok da daha de defa diye en gibi hem hep
    hiç için ile ise kadar ki kim kime mı mi mu mü nasıl ne nerede nereye neden neydi niçin o olarak oldu
    olan onu onun sen siz şey şu tüm ve veya ya yani zaman
    """,
    "polish": """
    a ale bo był była było być co czy dla do gdy gdzie go i ich jak jako jego jej jest jestem już kiedy kto
    która które który ma mi mnie może na nad nie niż o od on ona oni po pod przez się są ta tak tam te tego
    ten to tu ty tylko w we z za że
    """,
    "russian": """
    а без был была были было быть в вам вас весь во вот все всё вы где да для до его ее её если есть еще ещё
    же за и из или им их к как какая какие какое какой какую когда кого кому кто ко куда ли мне мы на над
    не него нее нет ни но ну о об он она они от по под при с сколько со та так такой там то того тоже той
    только том ты у уже чего чем что чтобы эта эти это я
    """,
    "hindi": """
    और का की के को में से है हैं था थी थे ने पर यह वह कि जो तो ही भी एक इस उस क्या कौन कहाँ कब कैसे क्यों किस किससे
    किसके लिए साथ तक हुआ हुई गया गई कर करता अपना अपनी नहीं सा सी हो होता ये वे हम तुम मैं
    """,
}
COMMON = {language: frozenset(words.split()) for language, words in _COMMON.items()}
_LATIN = tuple(language for language in COMMON if language not in {"russian", "hindi"})
_TOLD_BY = 0.12  # share of common words from which a language is believed; English text has 0.4
_STEMS_KEPT = 32_768
_PAIR = 2
TITLE_WEIGHT = 2


def language_of(text: str) -> str:
    """Returns the Snowball name of a text's language; English when nothing says which."""
    words = [match.casefold() for match in _WORD.findall(text[:2_000])]
    for word in words[:20]:
        for language, first, last in _SCRIPTS:
            if first <= word[0] <= last:
                return language
        if word[0] > _LAST_LATIN and word[0].isalpha():
            return UNKNOWN
    best, most = ENGLISH, max(_TOLD_BY * len(words), sum(word in COMMON[ENGLISH] for word in words))
    for language in _LATIN:
        count = sum(word in COMMON[language] for word in words)
        if count > most:
            best, most = language, count
    return best


def words_of(text: str) -> list[str]:
    """Returns the words of a text in order, case folded; what is written without spaces in pairs."""
    pieces = []
    for match in _WORD.finditer(unicodedata.normalize("NFC", text)):
        word = match.group().casefold()
        if word[-1] >= "\u0e00" and (runs := _UNSPACED.findall(word)):
            for run in runs:
                pieces += [run[i : i + _PAIR] for i in range(max(1, len(run) - _PAIR + 1))]
            pieces += _UNSPACED.sub(" ", word).split()
        else:
            pieces.append(word)
    return pieces


@lru_cache(_STEMS_KEPT)
def stem(word: str, language: str) -> str:
    """Returns the stem of a case folded word, without the accents of Latin letters."""
    if language == UNKNOWN or word.isdecimal() or _UNSPACED.match(word):
        return word
    stemmed: str = _stemmer(language).stemWord(word)
    if stemmed.isascii():
        return stemmed
    return "".join(c for c in unicodedata.normalize("NFD", stemmed) if not "\u0300" <= c <= "\u036f")


@lru_cache
def _stemmer(language: str) -> BaseStemmer:
    import snowballstemmer

    return snowballstemmer.stemmer(language)


def terms_of(title: str, text: str) -> tuple[str, dict[str, int]]:
    """Returns the language of a passage and how often each of its stems occurs.

    A word of the title counts twice: it says what the passage is about. Words that nearly every passage
    holds are kept: rare in a scope of another kind of text, they can be what is asked for.
    """
    language = language_of(f"{title}\n{text}")
    counts: dict[str, int] = {}
    for words, weight in ((words_of(title), TITLE_WEIGHT), (words_of(text), 1)):
        for word in words:
            stemmed = stem(word, language)
            counts[stemmed] = counts.get(stemmed, 0) + weight
    return language, counts
