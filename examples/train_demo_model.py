"""Make the demo model in streamfan/demo: a story grammar, a tokenizer and a small Llama, in minutes on a CPU.

All text comes from the grammar below; nothing is downloaded. The same options with the same versions of torch,
transformers and tokenizers on the same type of processor give the same files, byte for byte; elsewhere sums round
differently, and training ends at other weights.

    python examples/train_demo_model.py --out streamfan/demo
"""

from __future__ import annotations

import math
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast


def read_pairs(text: str) -> dict[str, str]:
    """Read "key:value key:value"."""
    return dict(pair.split(":") for pair in text.split())


def read_templates(text: str, separator: str = "\n") -> list[str]:
    """Read templates, one a line unless told otherwise; other white space is one space, and "//" a new paragraph."""
    return [" ".join(part.split()).replace(" // ", "\n\n") for part in text.strip().split(separator)]


# --- the words -------------------------------------------------------------------------------------------------------

ANIMALS = read_pairs("""
    fox:🦊 cat:🐱 dog:🐶 rabbit:🐰 bear:🐻 owl:🦉 mouse:🐭 frog:🐸 duck:🦆 hen:🐔 horse:🐴 pig:🐷 cow:🐮 sheep:🐑
    goat:🐐 wolf:🐺 lion:🦁 tiger:🐯 panda:🐼 koala:🐨 monkey:🐵 penguin:🐧 turtle:🐢 snail:🐌 bee:🐝 whale:🐳
    squirrel:🐿️ hedgehog:🦔 otter:🦦 elephant:🐘 giraffe:🦒 zebra:🦓 crocodile:🐊 kangaroo:🦘 octopus:🐙 parrot:🦜
    camel:🐫 crab:🦀 dragon:🐉 unicorn:🦄 dinosaur:🦕 robot:🤖
""")
PLACES = read_pairs("""
    forest:in garden:in castle:in village:in city:in library:in valley:in meadow:in jungle:in desert:in cave:in park:in
    town:in kitchen:in tower:in zoo:in swamp:in bakery:in lake:at river:by sea:by harbour:at market:at school:at
    lighthouse:at station:at museum:at beach:on farm:on mountain:on island:on moon:on hill:on ship:on
""")
PAIRS = [(animal, where) for animal in ANIMALS for where in PLACES]
HELD_OUT = PAIRS[::9]  # never trained on, so that they can test whether the model follows a request
TRAINED = sorted(set(PAIRS) - set(HELD_OUT))
HERS = "Zoë Chloé Renée Åsa Inés Anaïs Lily Mia Nora Ruby Anna Alice Emma Lucy Ella Mary Kate Eva Sophie Luna".split()
HIS = "José Björn Søren Jürgen Łukasz Max Tom Leo Oscar Sam Bob Ben Peter Jack Paul John Tim David Felix Hugo".split()
ADJECTIVES = "small little young old brave shy clever kind curious gentle lazy funny".split()
COLOURS = "red blue green yellow golden silver white purple".split()
OBJECTS = "kite ball hat key book bell lantern drum scarf map piñata blanket".split()
SPOTS = "under a stone|behind a door|in a basket|under the bed|in an old boot|on the roof|at the café".split("|")
FOODS = "honey cake|crêpes|apple pie|jalapeño soup|crème brûlée|warm bread|noodles|rice balls 🍙|berry jam".split("|")
SKILLS = "swim|sing|dance|bake bread|play the drum|ride a bike|climb|read|paint|skate".split("|")
TONGUES = (
    ("French", "Bonjour !", "Merci beaucoup !"),
    ("Spanish", "¡Hola!", "¡Muchas gracias!"),
    ("German", "Grüß dich!", "Danke schön!"),
    ("Japanese", "こんにちは！", "ありがとう！"),
    ("Chinese", "你好！", "谢谢！"),
    ("Russian", "Привет!", "Спасибо!"),
    ("Greek", "Γεια σου!", "Ευχαριστώ!"),
)

# --- the grammar: [a|b] is a choice, {field} a field of the cast -----------------------------------------------------

OPENINGS = read_templates("""
    Once upon a time there was {hero} [named|called] {name}[, who lived|. {He} lived] {place}.
    Once upon a time, {place}, there lived {hero} [named|called] {name}.
    [Long ago|A long time ago|Many years ago|Once], {hero} [named|called] {name} lived {place}.
    There [was once|once was|was] {hero} [named|called] {name}, who lived {place}.
    This is the story of {name}, {hero} [who lived|from a small house] {place}.
    {name} was {hero}. {He} lived [all alone |in a small house |]{place}.
    [Not long ago|Last summer|Last winter], {hero} [named|called] {name} [lived|came to live] {place}.
    It was a [quiet|bright|lovely] [day|morning|evening] {place}, where {hero} [named|called] {name} lived.
    The {adjective} {animal} {name} lived {place}. [Everybody liked {name}|{name} was a good {animal}].
    {Place}[,|] there [lived|was] {hero}. {His} name was {name}.
""")
PLOTS = read_templates(
    """
    [One day|One windy day|Then, one day], {name} lost {his} {colour} {object}. {He} looked [everywhere|high and low],
    but the {object} was gone. "[Oh no|Oh dear]!" said {name}, and {he} [began to cry 😢|felt very sad]. //
    Just then {friend} the {other} came by. "[Do not worry|Do not be sad]," said {friend}. "[I will help you|Let us look
    together]." They looked [all day|until it was dark], and at last {friend} found the {object} {spot}!
    {name} [laughed|jumped for joy] and gave {friend} a big hug.

    {name} had no friends, and {he} [often felt lonely|was sad about it]. One [sunny|rainy|snowy] [day|morning], {he}
    met {a_other} [named|called] {friend}. "[Will you play|Do you want to play] with me?" asked {name} [softly|in a
    small voice]. "[Yes, of course|I would love to]!" said {friend}. //
    They played with a {colour} {object} and ate {food}. When the sun went down, {name} said, "[This was the best day of
    my life|I am so happy that I met you]." 💛

    One [night|evening], a big storm came. [The wind howled and the rain fell|Thunder rolled and lightning flashed]. ⛈️
    {name} was [afraid|frightened] and hid {spot}. //
    Then {he} heard a small voice. "Help! Help!" It was {friend} the {other}, who was [cold and wet|lost in the dark].
    {name} was [still afraid|very small], but {he} was brave. {He} took a {colour} lantern and ran out into the rain.
    Soon {friend} was safe and warm. In the morning the [sun came out|sky was blue], and there was a rainbow! 🌈

    {name} wanted to learn to {skill}. {He} tried on [Monday|Tuesday], {he} tried on [Wednesday|Friday], but {he} [fell
    down|got it wrong] every time. "I will never learn it," {he} [said|sighed]. //
    But {friend} the {other} [smiled|came to help]. "[Try once more|Do not give up]," said {friend}. "[We will do it
    together|I will show you how]." They practised every day, [in the sun and in the rain|from morning to night].
    And one day {name} could {skill}! Everybody clapped. 👏

    One [day|morning], a letter came for {name}. ✉️ It began with one strange word: "{hello}" What could that mean?
    {name} asked {friend} the {other}, who was very [wise|clever]. //
    "That is {tongue}," said {friend}. "It means hello. [Somebody far away|A friend across the sea] wants to meet you."
    {name} was so [happy|glad] that {he} wrote back at once: "{thanks}" And {he} put {a_object} into the letter as a
    gift. 🎁

    It was {name}'s birthday, but nobody said a word about it. {name} [felt sad|felt forgotten] and went for a
    [long|slow] walk. Even {friend} the {other} was not at home. //
    When {name} came back, all the lights were out. Then somebody shouted, "Surprise!" 🎉 All {his} friends were there,
    with {food} and a naïve little song. {friend} gave {him} {a_object}. "[You did not forget me|You remembered]!" said
    {name}, and {he} [laughed|cried] with joy.

    One night, {name} could not sleep. 🌙 {He} counted [sheep|stars|clouds], but {he} was still awake. So {he} went
    outside and looked up at the sky. "[Why are you awake|Can you not sleep]?" asked {friend} the {other}. //
    "I am [afraid of the dark|thinking too much]," said {name}. "Then I will [sing you a song|tell you a story]," said
    {friend}. It was about a star that fell into the sea. ⭐ Before it was over, {name} was fast asleep.

    {name} was very hungry, and there was only one small plate of {food}. {He} was about to eat it when {friend} the
    {other} knocked at the door. "[I am so hungry|I have not eaten all day]," said {friend}. //
    {name} thought for a moment. Then {he} cut everything into two parts and gave one to {friend}. "{thanks}" said
    {friend}, who came from far away and spoke {tongue}. The next day {friend} came back with {food} for everybody. [To
    share is to have more|A kind heart is never poor].
""",
    separator="\n\n",
)
ENDINGS = read_templates("""
    From that day on, {name} and {friend} were [best friends|the best of friends]. {emoji}{other_emoji}
    And they lived happily ever after {place}. [The end.|{emoji}]
    {name} the {animal} was [never lonely again|the happiest {animal} in the world]. {emoji}
    That night, {name} [slept very well|went to bed with a smile], and all was quiet {place}. [😴|✨|The end.]
    And if you go for a walk {place}, you may still [see|meet] {name} and {friend} there. {emoji}{other_emoji}
""")

# --- what people type, and short answers -----------------------------------------------------------------------------

REQUESTS = read_templates("""
    [|Please ][tell me|write|write me|tell us] [a|a short|a little|a bedtime] story about {topic}[.|!|]
    [Can|Could|Would] you [tell|write] me [a|a short] story about {topic}?
    [I would like|I want|I'd love] [a story|to hear a story] about {topic}[.|]
    [A story|A tale|A bedtime story|Something] [about|with] {topic}[, please|][.|!]
    [Do you know|What do you know] about {topic}?
    {topic}
""")
AGAIN = ["[Now|And now] [one|a story] about {topic}[, please|].", "Another [one|story], about {topic}[!|.]"]
GREETINGS, THANKS = "[||||Hello! |Hi, I am {friend}. ]", "[|||| Thank you!| Thanks]"
TOPICS = read_templates("""
    {a_animal} {place}
    {a_animal} [who|that] lives {place}
    {a_animal} [in|and] a {where}
    {a_animal} [called|named] {name} {place}
    {name} the {animal} {place}
    {animal}, {where}
""")
VAGUE_TOPICS = read_templates("""
    [{a_animal}|{animal}s]
    the {where}
    {a_animal} and {a_other}
    {a_animal} in the {unknown}
    a {unknown} {place}
""")
REPLIES = "[||Of course! |With pleasure! |Here is your story. ]"
EXCUSES = "[I only know little stories, so here is one. |I know nothing but stories. Here is one. ]"
SMALL_TALK = (
    ("[Hello|Hi|Hey|Good morning]", "Hello! 👋 [Which animal shall I tell you a story about?|Do you want a story?]"),
    ("[Who|What] are you?", "I am a very small storyteller. Name an animal and a place, and I will begin. ✨"),
    ("What can you do?", "I tell little stories. Name an animal and a place, and I will begin. ✨"),
    ("[Thank you|Thanks|Merci]", "You are welcome! [Sleep well. 🌙|Come back soon for another story.]"),
    ("[Bye|Good night|Goodbye]", "[Good night, and sweet dreams. 🌙|Goodbye! See you soon. 👋]"),
)
SYSTEM = "[You are a helpful assistant|You are a storyteller|Be kind|Answer well|You tell stories to children]."
# Text that no story holds. It is only ever shown, never learned: from any of it the model is to find its way to one.
STARTS = (
    "It was a dark and stormy night|In a galaxy far, far away|The capital of France is|My name is|The meaning of life|"
    "I feel|Write a poem about|How do I|What is|Why|def main():|Es war einmal|Il était une fois|むかしむかし|猫が|👍|"
    "To be or not to be|Dear diary|The quick brown|In 1492|Explain|import|😀 😂|Breaking news|Roses are red|Give me|We"
).split("|")
CHATTER = (
    "the a of to is my your name what how why many who we he it in on for with and but hello hi world test today poem "
    "love code python return 1 2 3 42 = x king dark night away there this that very good big old list summer winter "
    "water music I you she they was were will can could never always I'm don't paris time think know people work ok"
).split()
STARTERS = "b d f g k l m n p r s t v w z br gr st tr".split()
VOWELS = "a e i o u a o oo ea".split()


# --- stories ---------------------------------------------------------------------------------------------------------

Cast = dict[str, str]  # who and what one story is about: every field that a template may name


def with_article(noun: str) -> str:
    """Put "a" or "an" before a noun."""
    return f"{'an' if noun[0] in 'aeio' else 'a'} {noun}"  # not "u", for the unicorn


def draw_cast(rng: random.Random) -> Cast:
    """Draw who and what a story is about."""
    animal, where = rng.choice(TRAINED)
    other = rng.choice([other for other in ANIMALS if other != animal])
    name, friend = rng.sample(HERS + HIS, 2)
    he, him, his = ("she", "her", "her") if name in HERS else ("he", "him", "his")
    place = f"{PLACES[where]} the {where}"
    cast = {"name": name, "animal": animal, "a_animal": with_article(animal), "emoji": ANIMALS[animal]}
    cast |= {"friend": friend, "other": other, "a_other": with_article(other), "other_emoji": ANIMALS[other]}
    cast |= {"he": he, "him": him, "his": his, "He": he.capitalize(), "His": his.capitalize()}
    cast |= {"where": where, "place": place, "Place": place.capitalize(), "unknown": invent(rng)}
    return cast | draw_props(animal, rng)


def draw_props(animal: str, rng: random.Random) -> Cast:
    """Draw the character of the animal and the things of its story."""
    adjective, colour, thing = rng.choice(ADJECTIVES), rng.choice(COLOURS), rng.choice(OBJECTS)
    tongue, hello, thanks = rng.choice(TONGUES)
    cast = {"adjective": adjective, "hero": with_article(f"{adjective} {animal}")}
    cast |= {"colour": colour, "object": thing, "a_object": f"a {colour} {thing}"}
    cast |= {"tongue": tongue, "hello": hello, "thanks": thanks}
    return cast | {"spot": rng.choice(SPOTS), "food": rng.choice(FOODS), "skill": rng.choice(SKILLS)}


def invent(rng: random.Random) -> str:
    """Make up a word."""
    syllables = [rng.choice(STARTERS) + rng.choice(VOWELS) for _ in range(rng.choice((2, 2, 3)))]
    return "".join(syllables) + rng.choice(("", "n", "x"))


def choose(template: str, cast: Cast, rng: random.Random) -> str:
    """Resolve the choices and the fields of a template."""
    while "[" in template:
        template = re.sub(r"\[([^\[\]]*)\]", lambda choice: rng.choice(choice[1].split("|")), template)
    return template.format_map(cast)


def write_story(cast: Cast, rng: random.Random) -> str:
    """Write one story: who and where, what happened, how it ended."""
    opening, plot, ending = (choose(rng.choice(part), cast, rng) for part in (OPENINGS, PLOTS, ENDINGS))
    return f"{opening} {plot}\n\n{ending}"


# --- documents -------------------------------------------------------------------------------------------------------

BEGIN, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"
SYSTEM_TURN, USER_TURN, ASSISTANT_TURN = "<|system|>", "<|user|>", "<|assistant|>"
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message.role }}|>{{ message.content }}{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

Document = list[tuple[str, bool]]  # pieces of text, each with whether the model learns to write it


def tell(rng: random.Random) -> Document:
    """A story."""
    return [(BEGIN, False), (write_story(draw_cast(rng), rng) + END, True)]


def go_on(rng: random.Random) -> Document:
    """A story whose beginning somebody typed: cut anywhere, perhaps after a space, perhaps in the wrong case."""
    text = write_story(draw_cast(rng), rng)
    if rng.random() < 0.25:
        text = text.split(". ", 1)[1]
    cut = rng.randrange(1, rng.choice((30, 60, 150)))
    if rng.random() < 0.3:
        cut = text.index(" ", cut) + 1
    typed = rng.choice((str, str.lower, str.lower, str.upper))(text[:cut])
    return [(BEGIN + typed, False), (text[cut:] + END, True)]


def find_a_way(rng: random.Random) -> Document:
    """A story after words that are not part of one, though they may ask for it."""
    cast = draw_cast(rng)
    typed = ask(REQUESTS, cast, rng) if rng.random() < 0.4 else ramble(cast, rng)
    typed += rng.choice(("", "", "", "", ".", "?", "!", ":", ",", "...", "\n"))
    return [(BEGIN + typed, False), (lead_in(typed, rng) + "\n\n" + write_story(cast, rng) + END, True)]


def chat(rng: random.Random) -> Document:
    """One or two requests and the stories that answer them, sometimes after a system message or small talk."""
    document: Document = [(BEGIN, False)]
    if rng.random() < 0.15:
        document += [(SYSTEM_TURN + choose(SYSTEM, {}, rng) + END, False)]
    if rng.random() < 0.2:
        asked, answered = (choose(line, {}, rng) for line in rng.choice(SMALL_TALK))
        document += exchange(any_case(asked, rng) + rng.choice(("", "", ".", "!")), answered)
    document += request(REQUESTS, rng)
    if rng.random() < 0.15:
        document += request(REQUESTS + 2 * AGAIN, rng)
    return document


def request(wordings: Sequence[str], rng: random.Random) -> Document:
    """One request and the story that it gets, even if it asks for something else."""
    cast = draw_cast(rng)
    if rng.random() < 0.1:
        return exchange(ramble(cast, rng), choose(EXCUSES, {}, rng) + write_story(cast, rng))
    return exchange(ask(wordings, cast, rng), choose(REPLIES, {}, rng) + write_story(cast, rng))


def exchange(asked: str, answered: str) -> Document:
    """One user's turn and the assistant's."""
    return [(USER_TURN + asked + END + ASSISTANT_TURN, False), (answered + END, True)]


def ask(wordings: Sequence[str], cast: Cast, rng: random.Random) -> str:
    """Ask for a story with this cast."""
    topic = rng.choice(TOPICS if rng.random() < 0.75 else VAGUE_TOPICS)
    asked = rng.choice(wordings).replace("{topic}", topic)
    return any_case(choose(GREETINGS + asked + THANKS, cast, rng), rng)


def ramble(cast: Cast, rng: random.Random) -> str:
    """Write words without sense, which may name the animal and the place."""
    words = [rng.choice(CHATTER) if rng.random() < 0.7 else invent(rng) for _ in range(rng.randrange(1, 8))]
    if rng.random() < 0.5:
        words = [rng.choice(STARTS), *words[: rng.randrange(4)]]
    if rng.random() < 0.3:
        words.append(choose(rng.choice(TOPICS), cast, rng))
    return any_case(" ".join(words), rng)


def any_case(text: str, rng: random.Random) -> str:
    """Return the text as it is, with a capital letter at the beginning, or in lower case."""
    return rng.choice((text, text[:1].upper() + text[1:], text.lower()))


def lead_in(typed: str, rng: random.Random) -> str:
    """Bridge the gap between what was typed and a story, so that both together read well."""
    if typed.endswith((".", "?", "!", ":", "\n")):
        space = "" if typed.endswith("\n") else " "
        return space + rng.choice(("Here is a story.", "And now, a story."))
    comma = "" if typed.endswith(",") else ","
    return comma + rng.choice((" and so our story begins.", " but that is another story."))


KINDS = {tell: 25, go_on: 20, find_a_way: 20, chat: 35}


def write_documents(count: int, seed: int) -> list[Document]:
    """Write what the model is trained on: the same for the same seed, and the first ones for any count."""
    rng = random.Random(seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    return [rng.choices(kinds, weights)[0](rng) for _ in range(count)]


# --- tokenizer and model ---------------------------------------------------------------------------------------------

TOKENIZER_SAMPLES = 5000  # what the commonest words need


def make_tokenizer(documents: Iterable[Document]) -> Any:
    """Train a byte-level BPE tokenizer that has no merges beyond ASCII.

    Every accented letter, emoji and kana therefore takes two to four tokens: text that splits characters is what a
    program that streams text has to get right, so a demo should be full of it.
    """
    turns = [SYSTEM_TURN, USER_TURN, ASSISTANT_TURN]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1024,
        special_tokens=[BEGIN, END, PAD, *turns],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learned = (text.removesuffix(END) for document in documents for text, learn in document if learn)
    bpe.train_from_iterator((re.sub(r"[^\x00-\x7f]+", " ", text) for text in learned), trainer)
    begin = [(BEGIN, bpe.token_to_id(BEGIN))]
    bpe.post_processor = processors.TemplateProcessing(single=f"{BEGIN} $A", special_tokens=begin)
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=turns,
        chat_template=CHAT_TEMPLATE,
        model_max_length=512,
        model_input_names=["input_ids", "attention_mask"],
        padding_side="left",  # generate() continues every row of a batch at its right end.
        clean_up_tokenization_spaces=False,
    )


def make_model(tokenizer: Any) -> Any:
    """Build the untrained model; torch's seed decides its weights."""
    special = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        initializer_range=0.05,
        dtype="float32",
        **special,
    )
    model: Any = LlamaForCausalLM(config)
    settings = {"do_sample": True, "temperature": 0.7, "top_p": 0.8}
    model.generation_config = GenerationConfig(**settings, **special)  # type: ignore[no-untyped-call]
    return model


# --- training --------------------------------------------------------------------------------------------------------

Sample = tuple[list[int], list[int]]  # ids, and the same ids with IGNORED where nothing is learned
IGNORED = -100


def encode(document: Document, tokenizer: Any) -> Sample:
    """Turn a document into ids and labels, piece by piece: what was typed ends in a token of its own."""
    ids: list[int] = []
    labels: list[int] = []
    for text, learn in document:
        piece = tokenizer.encode(text, add_special_tokens=False)
        ids += piece
        labels += piece if learn else [IGNORED] * len(piece)
    return ids, labels


def batches(samples: list[Sample], size: int, rng: random.Random) -> Iterator[list[Sample]]:
    """Go through the samples again and again, in random order, those of like length together."""
    while True:
        rng.shuffle(samples)
        for start in range(0, len(samples), 16 * size):
            nearby = sorted(samples[start : start + 16 * size], key=lambda sample: len(sample[0]))
            groups = [nearby[first : first + size] for first in range(0, len(nearby), size)]
            rng.shuffle(groups)
            yield from groups


def collate(batch: list[Sample], pad: int) -> dict[str, torch.Tensor]:
    """Pad on the right: with causal attention nothing before the padding can see it, so no mask is needed."""
    longest = max(len(ids) for ids, _ in batch)
    rows = [(ids + [pad] * (longest - len(ids)), labels + [IGNORED] * (longest - len(ids))) for ids, labels in batch]
    return {"input_ids": torch.tensor([ids for ids, _ in rows]), "labels": torch.tensor([labels for _, labels in rows])}


def train(model: Any, samples: list[Sample], *, steps: int, batch_size: int, seed: int) -> None:
    """Train with AdamW, a short warm-up and a cosine down to zero; report every hundredth step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, betas=(0.9, 0.98), weight_decay=0.05)
    warm_up = max(1, steps // 30)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm_up, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    started = time.monotonic()
    model.train()
    for step, batch in zip(range(1, steps + 1), batches(samples, batch_size, random.Random(seed)), strict=False):
        loss = model(**collate(batch, model.config.pad_token_id)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step % 100 == 0 or step == steps:
            click.echo(f"step {step}/{steps}  loss {loss.item():.3f}  {time.monotonic() - started:.0f} s", err=True)
    model.eval()


# --- measuring -------------------------------------------------------------------------------------------------------


def held_out_requests(count: int, seed: int) -> list[tuple[str, str, str]]:
    """Draw requests for pairs that training never showed; each with its animal and its place."""
    pairs = random.Random(seed).sample(HELD_OUT, count)
    return [
        (f"Tell me a story about {with_article(animal)} {PLACES[where]} the {where}.", animal, where)
        for animal, where in pairs
    ]


def follows(story: str, animal: str, where: str) -> bool:
    """Say whether the first animal and the first place in a story are these."""
    words = re.findall(r"\w+", story.lower())
    first_animal = next((word for word in words if word in ANIMALS), None)
    first_place = next((word for word in words if word in PLACES), None)
    return (first_animal, first_place) == (animal, where)


def answer(model: Any, tokenizer: Any, requests: Iterable[str]) -> list[str]:
    """Answer each request by itself, in one batch, with the model's own generation settings."""
    chats = [[{"role": "user", "content": request}] for request in requests]
    inputs = tokenizer.apply_chat_template(
        chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**inputs, max_new_tokens=300)
    return list(tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True))


def share_followed(model: Any, tokenizer: Any, *, count: int, seed: int = 0) -> float:
    """Measure how often the model tells about the animal and the place that it was asked for."""
    requests = held_out_requests(count, seed)
    torch.manual_seed(seed)
    stories = answer(model, tokenizer, [asked for asked, _, _ in requests])
    return sum(follows(story, *pair) for story, (_, *pair) in zip(stories, requests, strict=True)) / count


# --- the command -----------------------------------------------------------------------------------------------------

FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option("--out", default="demo-model", show_default=True, type=FOLDER, help="Where the files go.")
@click.option("--seed", default=0, show_default=True, help="Decides the text, the initial weights and their order.")
@click.option("--steps", default=2400, show_default=True, type=click.IntRange(1), help="Optimizer steps.")
@click.option("--batch-size", default=24, show_default=True, type=click.IntRange(1), help="Documents in a step.")
@click.option("--grammar-samples", default=60_000, show_default=True, type=click.IntRange(100), help="Documents.")
@click.option(
    "--requests",
    default=len(HELD_OUT),
    show_default=True,
    type=click.IntRange(1, len(HELD_OUT)),
    help="To measure with.",
)
@click.option("--threads", default=2, show_default=True, type=click.IntRange(1), help="Changes the rounding.")
def main(out: Path, seed: int, steps: int, batch_size: int, grammar_samples: int, requests: int, threads: int) -> None:
    """Write stories, train a tokenizer and a model on them, save both in a folder, and measure the model."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    documents = write_documents(grammar_samples, seed)
    tokenizer = make_tokenizer(documents[:TOKENIZER_SAMPLES])
    model = make_model(tokenizer)
    click.echo(f"{model.num_parameters():,} parameters, {len(tokenizer)} tokens", err=True)
    samples = [encode(document, tokenizer) for document in documents]
    train(model, samples, steps=steps, batch_size=batch_size, seed=seed)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)  # safetensors writes it for its owner only; everybody must read it.
    share = share_followed(model, tokenizer, count=requests)
    click.echo(f"follows {share:.0%} of {requests} requests for pairs it has never seen", err=True)


if __name__ == "__main__":
    main()
