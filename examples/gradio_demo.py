"""A chat in the browser whose answers also go to Redis: a tab that joins in the middle sees the whole text.

    pip install gradio
    REDIS_URL=redis://localhost/0 python examples/gradio_demo.py

Open the page a second time while an answer is being written: "Being written now" has it from its first word, and goes
on with the first tab. Stop stops the model, not only what is shown; so does closing the tab that asked.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import gradio as gr
from transformers import AutoModelForCausalLM, AutoTokenizer

from streamfan import Fan, subscribe
from streamfan.demo import PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

URL = os.environ.get("REDIS_URL", "redis://localhost:6379/0")
MODEL = os.environ.get("MODEL", str(PATH))

tokenizer: Any = AutoTokenizer.from_pretrained(MODEL)
model: Any = AutoModelForCausalLM.from_pretrained(MODEL)
fan = Fan(URL)


def answer(message: str, history: list[dict[str, Any]]) -> Iterator[str]:
    """The answer, as far as it has come; Gradio shows each one in place of the last."""
    messages = [*map(plain, history), {"role": "user", "content": message}]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    ).to(model.device)
    generation = fan.start(model, tokenizer, inputs, max_new_tokens=200, decode_kwargs={"mode": "standalone"})
    text = ""
    try:
        for piece in generation.streams[0]:
            text += piece
            yield text
    finally:
        # The stop button, and a tab that is closed, end this function here.
        generation.cancel("stopped in the browser", by="gradio")
        generation.wait()


def plain(message: dict[str, Any]) -> dict[str, str]:
    """A message of Gradio's history, which has a list of parts, as templates take it."""
    return {"role": message["role"], "content": "".join(part.get("text", "") for part in message["content"])}


def watch() -> Iterator[str]:
    """The newest answer, from its start, whichever tab has asked for it."""
    streams = fan.report.streams
    if not streams:
        return
    text = ""
    for piece in subscribe(URL, streams[-1].id):
        text += piece
        yield text


with gr.Blocks() as page:
    gr.ChatInterface(answer)
    watched = gr.Textbox(label="Being written now", interactive=False, elem_id="watched")
    page.load(watch, outputs=watched)

if __name__ == "__main__":
    with fan:
        page.launch(server_name="127.0.0.1", server_port=int(os.environ.get("PORT", "7860")))
