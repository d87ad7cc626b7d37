#!/usr/bin/env python3
"""Runs the `openai` package against `maspo serve`: sync, async, streaming, log-probabilities.

    scripts/peers/openai_client.py --maspo target/release/maspo

It needs `pip install openai` (written with 3.57). Exit codes: 0 everything holds, 1 something does
not, 2 the package is missing.
"""
import argparse
import asyncio
import math
import os
import subprocess
import sys
import tempfile

try:
    import openai
except ImportError:
    print("openai_client: the package `openai` is not installed", file=sys.stderr)
    sys.exit(2)

MESSAGES = [{"role": "user", "content": "Report the agent.\nSession:\nagent: headless, rate: rapid, path: login"}]
ASK = {"model": "triage", "messages": MESSAGES, "max_tokens": 32, "temperature": 0}


def check(what, holds):
    print(f"{'ok    ' if holds else 'FAILED'} {what}")
    if not holds:
        sys.exit(1)


def sync(client):
    check("models", [model.id for model in client.models.list()] == ["triage"])
    answer = client.chat.completions.create(**ASK)
    text, usage = answer.choices[0].message.content, answer.usage
    check("chat", bool(text) and answer.choices[0].finish_reason in ("stop", "length"))
    check("usage", usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0)
    again = client.chat.completions.create(**ASK)
    check("the same request, the same text", again.choices[0].message.content == text)
    check("its prompt was cached", again.usage.prompt_tokens_details.cached_tokens > 0)

    chunks = list(client.chat.completions.create(**ASK, stream=True, stream_options={"include_usage": True}))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    check("streamed, the same text", streamed == text)
    check("usage of a stream", chunks[-1].usage.completion_tokens == usage.completion_tokens)

    answer = client.chat.completions.create(**ASK, logprobs=True, top_logprobs=5)
    content = answer.choices[0].logprobs.content
    check("log-probabilities of every token", len(content) >= usage.completion_tokens)
    check("five alternatives, the likeliest first", all(
        len(token.top_logprobs) == 5
        and token.top_logprobs == sorted(token.top_logprobs, key=lambda other: -other.logprob)
        and token.top_logprobs[0].logprob == token.logprob
        for token in content))
    check("probabilities add up to one at most", all(
        sum(math.exp(other.logprob) for other in token.top_logprobs) <= 1 + 1e-6 for token in content))

    several = client.chat.completions.create(**{**ASK, "temperature": 1.2}, n=3, seed=7)
    same = client.chat.completions.create(**{**ASK, "temperature": 1.2}, n=3, seed=7)
    texts = [choice.message.content for choice in several.choices]
    check("three sampled texts, repeatable by their seed", texts == [choice.message.content for choice in same.choices])
    check("and not all equal", len(set(texts)) > 1)

    stop = text[5:9]
    cut = client.chat.completions.create(**ASK, stop=[stop])
    check("stop", cut.choices[0].message.content == text.split(stop)[0])
    plain = client.completions.create(
        model="triage", prompt="Report the agent.", max_tokens=8, temperature=0, logprobs=2)
    check("a plain completion", len(plain.choices[0].logprobs.tokens) >= 1)
    ids = client.completions.create(model="triage", prompt=[1, 2, 3], max_tokens=4, temperature=0)
    check("a prompt of token ids", ids.usage.prompt_tokens == 3)
    own = client.chat.completions.create(**ASK, extra_body={
        "top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "chat_template_kwargs": {"enable_thinking": False}})
    check("fields of vLLM", bool(own.choices))

    def refused(error, **more):
        try:
            client.chat.completions.create(**{**ASK, **more})
        except error as caught:
            return caught
        return None

    caught = refused(openai.BadRequestError, response_format={"type": "json_object"})
    check("response_format is refused by name", caught is not None and "response_format" in str(caught))
    check("another model", refused(openai.NotFoundError, model="gpt-9") is not None)
    check("a prompt that is too long", refused(
        openai.BadRequestError, messages=[{"role": "user", "content": "agent " * 20000}]) is not None)
    stranger = client.with_options(api_key="0" * 64, max_retries=0)
    try:
        stranger.models.list()
        check("another key", False)
    except openai.AuthenticationError:
        check("another key", True)
    return text


async def crowd(client, text):
    async def one(at):
        if at % 3 == 0:
            stream = await client.chat.completions.create(**ASK, stream=True)
            async for _ in stream:
                break
            await stream.close()
            return None
        return (await client.chat.completions.create(**ASK)).choices[0].message.content

    texts = await asyncio.gather(*(one(at) for at in range(24)))
    check("24 at once, a third broken off, all others the same text", all(other in (None, text) for other in texts))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--maspo", required=True, help="the program")
    maspo = arguments.parse_args().maspo
    with tempfile.TemporaryDirectory() as folder:
        token_file = os.path.join(folder, "token")
        command = [maspo, "serve", "--model", "embedded:triage", "--name", "triage", "--listen", "127.0.0.1:0",
                   "--token-file", token_file]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            for line in server.stderr:
                if line.startswith("ready: "):
                    url = line.split(" ")[1]
                    break
            else:
                sys.exit("the server did not start")
            with open(token_file) as file:
                key = file.read().strip()
            print(f"openai {openai.__version__} at {url}")
            text = sync(openai.OpenAI(base_url=f"{url}/v1", api_key=key))

            async def all_at_once():
                async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key) as client:
                    await crowd(client, text)

            asyncio.run(all_at_once())
        finally:
            server.terminate()
            code = server.wait(timeout=60)
        check("the server ends in order", code == 0)


if __name__ == "__main__":
    main()
