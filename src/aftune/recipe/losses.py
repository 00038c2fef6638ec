"""What a recipe has to know of each alignment loss. The losses themselves, which need torch: `aftune.losses`."""

from dataclasses import dataclass

ALL = ("none", "detached", "boundary")
NO_BOUNDARY = ("none", "detached")


@dataclass(frozen=True)
class LossFacts:
    """title: in tables. needs_reference: it compares log-ratios with a reference policy, in nats per response; the others compare
    scores, in nats per token. constraints: those that it takes. options: the settings of `align` that are for it."""

    title: str
    needs_reference: bool = False
    constraints: tuple[str, ...] = ALL
    options: tuple[str, ...] = ()


LOSSES = {
    "aft": LossFacts("AFT"),
    "rrhf": LossFacts("RRHF", options=("rrhf_length_normalisation",)),
    "pro": LossFacts("PRO", options=("pro_eps",)),
    "dpo": LossFacts("DPO", needs_reference=True, options=("dpo_beta",)),
    "simpo": LossFacts("SimPO", options=("simpo_beta", "simpo_gamma")),
    "ipo": LossFacts("IPO", needs_reference=True, constraints=NO_BOUNDARY, options=("ipo_beta",)),
    "dpop": LossFacts("DPOP", needs_reference=True, options=("dpo_beta", "dpop_lambda")),
    "minor_dpo": LossFacts("MinorDPO", needs_reference=True, constraints=NO_BOUNDARY, options=("dpo_beta",)),
    "bdpo": LossFacts("BDPO", needs_reference=True, constraints=NO_BOUNDARY, options=("dpo_beta", "bdpo_lambda")),
    "sppo": LossFacts("SPPO", needs_reference=True, constraints=NO_BOUNDARY, options=("dpo_beta",)),
    "nca": LossFacts("NCA", needs_reference=True, options=("dpo_beta", "nca_alpha")),
    "infonca": LossFacts("InfoNCA", needs_reference=True, options=("dpo_beta", "nca_alpha")),
    "apo_zero": LossFacts("APO-zero", needs_reference=True, constraints=NO_BOUNDARY, options=("dpo_beta",)),
}
