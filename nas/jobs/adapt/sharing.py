"""Finds what serves all inputs, in stages, and judges it on held-out items."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from nas.core.files import write_atomically
from nas.jobs.adapt.accelerated_exit import accelerated_exit
from nas.jobs.adapt.config import AdaptConfig, Healing
from nas.jobs.adapt.early_exit import ExitRule, early_exit
from nas.jobs.adapt.export import to_compare, write_chain, write_network
from nas.jobs.adapt.free_text import generated_answers
from nas.jobs.adapt.healing import heal
from nas.jobs.adapt.held_out import Judgement, judgement, majority
from nas.jobs.adapt.items import Item
from nas.jobs.adapt.job import AdaptJob
from nas.jobs.adapt.oracle import Found
from nas.jobs.adapt.shared_chains import Evaluators, SharedChains, half_chain, menu_for, statics_of
from nas.jobs.adapt.speed import speeds
from nas.jobs.adapt.stages import stage
from nas.loop.run_folder import RunFolder
from search_spaces.layer_chain.chain import Chain
from search_spaces.layer_chain.shortened import shortened


def stages_of(config: AdaptConfig) -> list[str]:
    """Return the names of the stages that the settings ask for, in order."""
    names = ["exam", "exit", "accelerated-exit"]
    if config.static:
        names += ["static", *(["text"] if config.generate else [])]
        names += ["half", *config.heal] if config.heal_steps else []
    return [*names, *(["router"] if config.menu else [])]


@dataclass
class Sharing:
    """The state of the stages after the search; each stage adds to `shared`.

    file: keeps `shared` after every stage. found: the results of the search.
    written: tokens per second of the chains that were measured.
    """

    job: AdaptJob
    config: AdaptConfig
    run: RunFolder
    evaluators: Evaluators
    test: Sequence[Item]
    found: Sequence[Found]
    shared: SharedChains
    file: Path
    written: dict[Chain, float] = field(default_factory=dict)

    def all_stages(self) -> None:
        """Run the stages that the settings ask for and that no earlier driver finished."""
        runs: dict[str, Callable[[], None]] = {
            "exam": self._exam,
            "exit": partial(self._exit, "exit", "early exit", early_exit),
            "accelerated-exit": partial(
                self._exit, "accelerated-exit", "accelerated exit", accelerated_exit
            ),
            "static": self._static,
            "text": self._generate,
            "half": self._half,
            **{way: partial(self._heal, way) for way in self.config.heal},
            "router": self._route,
        }
        for name in stages_of(self.config):
            if name not in self.shared.done:
                runs[name]()
                self.shared = replace(self.shared, done=(*self.shared.done, name))
                write_atomically(self.file, self.shared.to_json())

    def _exam(self) -> None:
        with stage("exam"):
            self._judge("full", "the full chain", self.job.rules.full)
            self._add("majority", majority(*self.evaluators))

    def _add(self, key: str, judged: Judgement) -> None:
        judgements = {**self.shared.judgements, key: judged}
        self.shared = replace(self.shared, judgements=judgements)

    def _judge(self, key: str, name: str, chain: Chain) -> None:
        test, seed = self.evaluators.test, self.config.seed
        if chain not in self.written:
            prompt = torch.tensor([test.rows[0].tokens])
            (speed,) = speeds(self.job.source.load().decoder, [chain], prompt)
            self.written[chain] = speed.written
        chains = [chain] * len(self.test)
        self._add(key, judgement(name, test, chains, seed, self.written[chain]))

    def _exit(self, key: str, name: str, rule: ExitRule) -> None:
        with stage(name):
            found = rule(*self.evaluators, self.config.tolerance)
        calls = sum(found.calls) / len(found.calls)
        same = sum(found.same) / len(found.same)
        self._add(key, Judgement(f"{name}, {same:.0%} as the full chain", found.right, calls))

    def _static(self) -> None:
        with stage("static chains") as tick:
            statics, best = statics_of(self.job, self.evaluators, self.config, tick)
        self.shared = replace(self.shared, statics=tuple(statics), best_static=best)
        one = statics[best]
        self._judge("static", f"static, {one.method}", one.chain)
        language, folder = self.job.source.load(), self.run.folder / "static"
        with stage("export"):
            write_chain(language, one.chain, folder, self._to_compare(), self.config.gguf)

    def _generate(self) -> None:
        language, tokens = self.job.source.load(), self.config.generate
        static = self.shared.statics[self.shared.best_static].chain
        for key, chain in (("full", self.job.rules.full), ("static", static)):
            with stage(f"free text, {key}") as tick:
                right = generated_answers(language, self.test, chain, tokens, tick)
            name = f"in free text, {key}"
            self._add(f"{key}-text", Judgement(name, right, len(chain)))

    def _half(self) -> None:
        chain = half_chain(self.shared.statics, self.evaluators.fit)
        self.shared = replace(self.shared, half=chain)
        self._judge("half", "half the layers", chain)

    def _heal(self, way: Healing) -> None:
        (fit, test), chain = self.evaluators, self.shared.half
        whole, lengths = self.job.source.load().module, [len(row.tokens) for row in fit.rows]
        with stage(f"healing, {way}") as tick:
            short = heal(
                shortened(whole, chain),
                whole,
                fit.tokens,
                torch.tensor(lengths),
                self.config.heal_steps,
                self.config.seed,
                way,
                self.job.memory_bytes,
                tick,
            )
            right = test.answers_of(short)
        self._add(f"healed-{way}", Judgement(f"  healed, {way}", right, len(chain)))
        with stage("export"):
            folder = self.run.folder / f"healed-{way}"
            write_network(short, folder, self._to_compare(), gguf=self.config.gguf)

    def _to_compare(self) -> Tensor:
        test = self.evaluators.test
        return to_compare(test.tokens, test.decoder.tokens, self.job.memory_bytes)

    def _route(self) -> None:
        with stage("router"):
            menu, router, chosen = menu_for(
                self.found, self.shared.statics, self.evaluators, self.config
            )
        write_atomically(self.run.folder / "router.safetensors", save(router.state_dict()))
        write_atomically(self.run.folder / "menu.json", json.dumps(menu.chains))
        self.shared = replace(self.shared, menu=menu)
        name = f"router among {len(menu.chains)} chains"
        test, seed = self.evaluators.test, self.config.seed
        self._add("router", judgement(name, test, chosen, seed, None))
