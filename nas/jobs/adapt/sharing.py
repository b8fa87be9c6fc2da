"""Finds what serves all inputs, in stages, and judges it on held-out items."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from safetensors.torch import save

from nas.core.files import write_atomically
from nas.jobs.adapt.config import AdaptConfig
from nas.jobs.adapt.early_exit import early_exit
from nas.jobs.adapt.export import write_network
from nas.jobs.adapt.free_text import generated_answers
from nas.jobs.adapt.healing import answers_of, heal
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


@dataclass
class Sharing:
    """The state of the stages after the search; each stage adds to `shared`.

    written: tokens per second of the chains that were measured.
    """

    job: AdaptJob
    config: AdaptConfig
    run: RunFolder
    evaluators: Evaluators
    test: Sequence[Item]
    shared: SharedChains
    written: dict[Chain, float] = field(default_factory=dict)

    def all_stages(self, found: Sequence[Found]) -> SharedChains:
        """Run the stages that the settings ask for."""
        self._judge("full", "the full chain", self.job.rules.full)
        self._add("majority", majority(*self.evaluators))
        self._exit()
        if self.config.static:
            self._static()
            if self.config.generate:
                self._generate()
            if self.config.heal_steps:
                self._heal()
        if self.config.menu:
            self._route(found)
        return self.shared

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

    def _exit(self) -> None:
        with stage("early exit"):
            found = early_exit(*self.evaluators, self.config.tolerance)
        calls = sum(found.calls) / len(found.calls)
        same = sum(found.same) / len(found.same)
        name = f"early exit, {same:.0%} as the full chain"
        self._add("exit", Judgement(name, found.right, calls))

    def _static(self) -> None:
        with stage("static chains"):
            statics, best = statics_of(self.job, self.evaluators, self.config)
        self.shared = replace(self.shared, statics=tuple(statics), best_static=best)
        one = statics[best]
        self._judge("static", f"static, {one.method}", one.chain)
        network = shortened(self.job.source.load().module, one.chain)
        write_network(network, self.run.folder / "static", self.evaluators.test.tokens[:4])

    def _generate(self) -> None:
        language, tokens = self.job.source.load(), self.config.generate
        static = self.shared.statics[self.shared.best_static].chain
        with stage("free text"):
            for key, chain in (("full", self.job.rules.full), ("static", static)):
                right = generated_answers(language, self.test, chain, tokens)
                name = f"in free text, {key}"
                self._add(f"{key}-text", Judgement(name, right, len(chain)))

    def _heal(self) -> None:
        chain = half_chain(self.shared.statics, self.evaluators.fit)
        self.shared = replace(self.shared, half=chain)
        self._judge("half", "half the layers", chain)
        fit, test, whole = *self.evaluators, self.job.source.load().module
        lengths = torch.tensor([len(row.tokens) for row in fit.rows])
        for way in self.config.heal:
            with stage(f"healing, {way}"):
                short = shortened(whole, chain)
                steps, seed = self.config.heal_steps, self.config.seed
                short = heal(short, whole, fit.tokens, lengths, steps, seed, way)
                right = answers_of(short, test)
            self._add(f"healed-{way}", Judgement(f"  healed, {way}", right, len(chain)))
            write_network(short, self.run.folder / f"healed-{way}", test.tokens[:4])

    def _route(self, found: Sequence[Found]) -> None:
        with stage("router"):
            menu, router, chosen = menu_for(
                found, self.shared.statics, self.evaluators, self.config
            )
        write_atomically(self.run.folder / "router.safetensors", save(router.state_dict()))
        write_atomically(self.run.folder / "menu.json", json.dumps(menu.chains))
        self.shared = replace(self.shared, menu=menu)
        name = f"router among {len(menu.chains)} chains"
        test, seed = self.evaluators.test, self.config.seed
        self._add("router", judgement(name, test, chosen, seed, None))
