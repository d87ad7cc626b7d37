"""corpus.jsonl -> tokenizer -> a tiny Qwen3 trained from nothing -> the Hugging Face folder that
the binary embeds.

One worker process per core with one thread each, because barriers between threads inside every
operation cost more than one exchange of gradients a step, above all when the machine is shared. On
a GPU there is one worker. The order of batches, the sums of gradients and the schedule depend on
the seed and on the number of workers only.

    python train.py --corpus corpus.jsonl --tokens 20000000
    python train.py --corpus corpus.jsonl --minutes 38          # the schedule follows the wall clock instead
    python train.py --corpus corpus.jsonl --export-only --run run
"""

import argparse
import json
import os
import pickle
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing as multiprocessing
from tokenizers import Tokenizer

import corpus as data
import export
from model import BLOCK, Model, Shape, init_params, muon_splits
from optimizer import Flat, Optimizer

FRACTION, STOP, EVALUATE = 0, 1, 2


def arguments(argv):
    here = Path(__file__).resolve().parent
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--corpus", nargs="+", help="corpus.jsonl of the generator; several are taken together")
    p.add_argument("--run", default="run", help="folder for checkpoints and the log of metrics")
    p.add_argument("--out", default=str(here.parent), help="folder of the exported model")
    p.add_argument("--tokens", type=int, help="train on this many tokens (padding counts)")
    p.add_argument("--minutes", type=float, help="train for this long instead; not reproducible")
    p.add_argument("--resume", action="store_true", help="go on from the run folder's checkpoint")
    p.add_argument("--after", help="start from the weights and the tokenizer of this finished run: a second lesson")
    p.add_argument("--export-only", action="store_true", help="export the run folder's checkpoint and stop")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--vocab", type=int, default=768)
    p.add_argument("--hidden", type=int, default=256)
    p.add_argument("--layers", type=int, default=6)
    p.add_argument("--ff", type=int, default=512)
    p.add_argument("--batch", type=int, default=3840,
                   help="tokens in one micro-batch; its divisors are the row lengths")
    p.add_argument("--micro", type=int, default=2, help="micro-batches in a step")
    p.add_argument("--buckets", type=int, default=12, help="most row lengths")
    p.add_argument("--held-out", type=int, default=64, help="lines of each kind kept back")
    p.add_argument("--quick", type=int, default=20, help="how many of them are looked at before the end")
    p.add_argument("--content-weight", type=float, default=0.1, help="loss weight of the content's tokens at the start")
    p.add_argument("--content-until", type=float, default=0.5,
                   help="share of the training over which it falls to zero; 0: constant")
    p.add_argument("--boost", nargs="*", default=[], help="kind=factor on the weight of its lines")
    p.add_argument("--muon-lr", type=float, default=0.012)
    p.add_argument("--adam-lr", type=float, default=0.003)
    p.add_argument("--weight-decay", type=float, default=0.1)
    p.add_argument("--warmup", type=int, default=50, help="steps")
    p.add_argument("--decay", type=float, default=0.45,
                   help="last share of the training in which the rate falls to zero")
    p.add_argument("--workers", type=int, default=min(2, os.cpu_count()), help="processes on CPU")
    p.add_argument("--evaluate-s", type=float, default=600, help="between looks at a part of the lines kept back")
    p.add_argument("--save-s", type=float, default=120)
    p.add_argument("--no-compile", action="store_true")
    args = p.parse_args(argv)
    if not args.export_only and not args.corpus:
        p.error("give --corpus")
    if not args.export_only and (args.tokens is None) == (args.minutes is None):
        p.error("give --tokens or --minutes")
    return args


def boosts(pairs):
    return {kind: float(factor) for kind, factor in (pair.split("=") for pair in pairs)}


def main(argv):
    args = arguments(argv)
    run = Path(args.run)
    run.mkdir(parents=True, exist_ok=True)
    if args.export_only:
        return export.from_checkpoint(run / "checkpoint.pt", run / "tokenizer.json", Path(args.out))
    started = time.time()
    if not args.resume:
        (run / "checkpoint.pt").unlink(missing_ok=True)
        lines = [line for path in args.corpus for line in data.read_lines(path)]
        if args.after:
            plain = Tokenizer.from_file(str(Path(args.after) / "tokenizer.json"))
        else:
            plain = data.train_tokenizer(lines, args.vocab, args.seed)
        plain.save(str(run / "tokenizer.json"))
        (run / "rows.pickle").write_bytes(pickle.dumps(data.Rows(lines, data.Chat(plain), boosts(args.boost))))
        del lines
    vocab = Tokenizer.from_file(str(run / "tokenizer.json")).get_vocab_size() + len(data.CONTROL)
    shape = Shape(vocab=vocab, hidden=args.hidden, layers=args.layers, ff=args.ff)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    world = 1 if device == "cuda" else args.workers
    print(f"device {device}, workers {world}, vocab {vocab}, tokenizer after {time.time() - started:.0f} s", flush=True)

    if args.after:
        blob = torch.load(Path(args.after) / "checkpoint.pt", map_location=device, weights_only=True)
        assert Shape(**blob["shape"]) == shape, f"{args.after} holds a model of another shape"
        initial = blob["params"]
    else:
        initial = init_params(shape, args.seed, device)
    sizes = {name: value.shape for name, value in initial.items()}
    flats = {name: Flat(sizes, device, device == "cpu") for name in ("params", "first", "second")}
    flats |= {f"grads{rank}": Flat(sizes, device, device == "cpu") for rank in range(world)}
    for name, value in flats["params"].views().items():
        value.copy_(initial[name])
    context = multiprocessing.get_context("spawn")
    shared = {
        "flats": flats,
        "control": torch.zeros(4, dtype=torch.float64).share_memory_(),
        "tallies": torch.zeros(2, world, 256, 4, dtype=torch.float64).share_memory_(),
        "barrier": context.Barrier(world, timeout=1800),
    }
    if world == 1:
        worker(0, world, device, shape, args, shared)
    else:
        others = [
            context.Process(target=worker, args=(rank, world, device, shape, args, shared), daemon=True)
            for rank in range(1, world)
        ]
        for process in others:
            process.start()
        worker(0, world, device, shape, args, shared)
        for process in others:
            process.join()
    export.from_checkpoint(run / "checkpoint.pt", run / "tokenizer.json", Path(args.out))


def worker(rank, world, device, shape, args, shared):
    if rank > 0:
        # Linux divides CPU time between sessions first; in one session the workers of a busy
        # machine would share one part.
        os.setsid()
    if device == "cpu":
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // world))
    torch._dynamo.config.recompile_limit = 64
    try:
        Worker(rank, world, device, shape, args, shared).run()
    except BaseException:
        shared["barrier"].abort()
        raise


class Worker:
    def __init__(self, rank, world, device, shape, args, shared):
        self.rank, self.world, self.device, self.shape, self.args = rank, world, device, shape, args
        self.barrier, self.control, self.tallies = shared["barrier"], shared["control"], shared["tallies"]
        self.flats = shared["flats"]
        params = self.flats["params"].views()
        self.grads = [self.flats[f"grads{r}"].views() for r in range(world)]
        self.model = Model(shape, params, device, torch.bfloat16, not args.no_compile, self.grads[rank])
        self.optimizer = Optimizer(
            params,
            self.grads,
            self.flats["first"].views(),
            self.flats["second"].views(),
            muon_splits(shape),
            world,
            rank,
            torch.bfloat16,
            args.muon_lr,
            args.adam_lr,
            args.weight_decay,
        )
        self.chat = data.Chat(Tokenizer.from_file(str(Path(args.run) / "tokenizer.json")))
        self.rows = rows = pickle.loads((Path(args.run) / "rows.pickle").read_bytes())
        self.train, self.held_out = rows.split(args.held_out, args.seed)
        self.buckets = data.choose_buckets(rows.lengths, args.batch, args.buckets)
        self.answer_weight = np.array([w[w > 0].sum() for w in rows.weights])
        self.content_tokens = np.array([(w < 0).sum() for w in rows.weights])
        self.pad = self.chat.id["<|endoftext|>"]
        if rank == 0:
            fits = np.array([data.bucket_of(self.buckets, n) for n in rows.lengths])
            print(f"{len(rows.ids)} rows ({rows.too_long} too long and left out), "
                  f"{rows.lengths.sum() / 1e6:.2f} M tokens, mean {rows.lengths.mean():.0f}, "
                  f"median {np.median(rows.lengths):.0f}, longest {rows.lengths.max()}, "
                  f"buckets {self.buckets}, padding {1 - rows.lengths.sum() / fits.sum():.3f}")
            for at, kind in enumerate(rows.kinds):
                of = rows.kind == at
                answer = np.mean((rows.lengths - rows.answer_at)[of])
                print(f"  {kind:24s} n={of.sum():7d} tokens={rows.lengths[of].mean():6.0f} answer={answer:5.1f}")
            sys.stdout.flush()

    # -- the loop --

    def run(self):
        self.warm_up()
        state = self.load()
        step, tokens, before, micro_done = state["step"], state["tokens"], state["elapsed"], state["micro"]
        source = data.batches(self.rows, self.train, self.buckets, self.args.batch, self.args.seed)
        for _ in range(micro_done):
            next(source)
        started = last_print = last_eval = last_save = time.time()
        last_tokens = tokens
        while True:
            now = time.time()
            elapsed = before + now - started
            if self.rank == 0:
                fraction = tokens / self.args.tokens if self.args.tokens else elapsed / (60 * self.args.minutes)
                self.control[FRACTION], self.control[STOP] = min(fraction, 1.0), float(fraction >= 1)
                self.control[EVALUATE] = float(fraction >= 1 or now - last_eval > self.args.evaluate_s)
            self.barrier.wait()
            fraction, stop, evaluate = self.control[:3].tolist()
            if self.rank == 0:
                state = dict(step=step, tokens=tokens, elapsed=elapsed, micro=micro_done)
                if stop or now - last_save > self.args.save_s:
                    self.save(state)
                    last_save = now
                if stop or now - last_print > 30:
                    speed = (tokens - last_tokens) / max(1e-9, now - last_print)
                    self.report(0, f"{elapsed / 60:5.1f} min {tokens / 1e6:6.2f} M {speed:6.0f} tok/s "
                                   f"step {step} {fraction:.3f}")
                    last_print, last_tokens = now, tokens
            if evaluate:
                self.evaluate(self.args.held_out if stop else self.args.quick)
                last_eval = time.time()
                if self.rank == 0:
                    self.report(1, f"HELD OUT at {elapsed / 60:.1f} min, {tokens / 1e6:.2f} M tokens")
            if stop:
                self.barrier.wait()
                return
            step += 1
            micro = [next(source) for _ in range(self.args.micro)]
            micro_done += len(micro)
            tokens += len(micro) * self.args.batch
            self.gradients(micro, fraction)
            self.barrier.wait()
            self.optimizer.step(step, self.rate(step, fraction))

    def rate(self, step, fraction):
        return min(1.0, step / self.args.warmup) * min(1.0, (1 - fraction) / self.args.decay)

    def gradients(self, micro, fraction):
        """This worker's share of a step: the loss is the weighted mean over all micro-batches of
        the step.
        """
        until = self.args.content_until
        content = self.args.content_weight * (max(0.0, 1 - fraction / until) if until else 1.0)
        total = sum(self.answer_weight[rows].sum() + content * self.content_tokens[rows].sum() for _, _, rows in micro)
        order = sorted(range(len(micro)), key=lambda at: (micro[at][1], at))
        # Boustrophedon, so that the long rows, which cost more, spread over the workers.
        mine = [at for place, at in enumerate(order) if self.owner(place) == self.rank]
        self.flats[f"grads{self.rank}"].buffer.zero_()
        for at in mine:
            _, t, rows = micro[at]
            loss, right = self.model.loss(*self.tensors(rows, t, content))
            (loss / total).backward()
            self.tally(0, rows, right)

    def owner(self, place):
        turn, seat = divmod(place, self.world)
        return seat if turn % 2 == 0 else self.world - 1 - seat

    def tensors(self, rows, t, content=0.0):
        batch = self.rows.batch(rows, t, self.args.batch // t, self.pad, content)
        return [torch.from_numpy(part).to(self.device) for part in batch]

    def warm_up(self):
        """Compiles before the clock starts; the first worker fills the cache on disk for the
        others.
        """
        started = time.time()
        for rank in range(self.world):
            if rank == self.rank:
                self.model.loss(*self.tensors([], self.buckets[0]))[0].backward()
            self.barrier.wait()
        if self.rank == 0:
            print(f"compiled in {time.time() - started:.0f} s", flush=True)

    # -- metrics: by kind, lines seen, lines with every answer token right, first tokens right --

    def tally(self, slot, rows, right):
        right = right.cpu().numpy()
        into = self.tallies[slot, self.rank]
        for at, row in enumerate(rows):
            answer = right[at, self.rows.answer_at[row] : self.rows.lengths[row]]
            counts = [1.0, answer.all(), answer[0], answer.mean()]
            into[self.rows.kind[row]] += torch.tensor(counts, dtype=torch.float64)

    def evaluate(self, each):
        jobs = []
        for t in self.buckets:
            chosen = (r for kind in self.held_out.values() for r in kind[:each])
            rows = [r for r in chosen if data.bucket_of(self.buckets, self.rows.lengths[r]) == t]
            size = self.args.batch // t
            jobs += [(t, rows[at : at + size]) for at in range(0, len(rows), size)]
        for t, rows in jobs[self.rank :: self.world]:
            # With gradients on, because the compiled blocks are for that; nothing runs backward.
            _, right = self.model.loss(*self.tensors(rows, t))
            self.tally(1, rows, right)
        self.barrier.wait()

    def report(self, slot, title):
        sums = self.tallies[slot].sum(0)
        self.tallies[slot].zero_()
        print(title)
        if slot == 0:
            exact = [sums[at, 1] / max(1.0, sums[at, 0].item()) for at in range(len(self.rows.kinds))]
            print("   " + "  ".join(f"{kind} {share:.2f}" for kind, share in zip(self.rows.kinds, exact)))
        else:
            metrics = {}
            for at, kind in enumerate(self.rows.kinds):
                n, exact, first, token = sums[at].tolist()
                exact, first, token = (part / max(n, 1) for part in (exact, first, token))
                metrics[kind] = dict(n=int(n), exact=exact, first=first, token=token)
                print(f"   {kind:24s} n={n:.0f} exact={exact:.3f} first={first:.3f} token={token:.4f}")
            with open(Path(self.args.run) / "metrics.jsonl", "a", encoding="utf-8") as file:
                file.write(json.dumps({"title": title, "kinds": metrics}) + "\n")
        sys.stdout.flush()

    # -- checkpoints --

    def save(self, state):
        path = Path(self.args.run) / "checkpoint.pt"
        names = ("params", "first", "second")
        blob = {name: {k: v.cpu() for k, v in self.flats[name].views().items()} for name in names}
        torch.save({"shape": asdict(self.shape), "state": state, "args": vars(self.args), **blob}, str(path) + ".new")
        os.replace(str(path) + ".new", path)

    def load(self):
        path = Path(self.args.run) / "checkpoint.pt"
        state = dict(step=0, tokens=0, elapsed=0.0, micro=0)
        if self.args.resume and path.exists():
            blob = torch.load(path, map_location=self.device, weights_only=True)
            state = blob["state"]
            if self.rank == 0:
                for name in ("params", "first", "second"):
                    for key, view in self.flats[name].views().items():
                        view.copy_(blob[name][key])
        self.barrier.wait()
        return state


if __name__ == "__main__":
    main(sys.argv[1:])
