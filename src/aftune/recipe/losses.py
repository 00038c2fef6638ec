"""What a recipe has to know of each alignment loss. The losses themselves, which need torch: `aftune.losses`."""

from dataclasses import dataclass

ALL = ("none", "detached", "boundary")
NO_BOUNDARY = ("none", "detached")


@dataclass(frozen=True)
class LossFacts:
    """title: in tables; gist: what it compares, in a line. needs_reference: it compares log-ratios with a reference policy, in nats
    per response; the others compare scores, in nats per token. constraints: those that it takes. options: the settings of `align`
    that are for it."""

    title: str
    gist: str
    needs_reference: bool = False
    constraints: tuple[str, ...] = ALL
    options: tuple[str, ...] = ()


LOSSES = {
    "aft": LossFacts("AFT", "all pairs of a group together, by mean log-likelihoods"),
    "rrhf": LossFacts("RRHF", "a hinge for each pair whose worse candidate scores higher", options=("rrhf_length_normalisation",)),
    "pro": LossFacts("PRO", "each better candidate against all worse ones, by scores", options=("pro_eps",)),
    "dpo": LossFacts(
        "DPO", "pairs, by log-ratios to the model that alignment starts from", needs_reference=True, options=("dpo_beta",)
    ),
    "simpo": LossFacts("SimPO", "pairs of scores, with a margin (simpo_gamma)", options=("simpo_beta", "simpo_gamma")),
    "ipo": LossFacts(
        "IPO", "pairs of log-ratios, towards a fixed distance", needs_reference=True, constraints=NO_BOUNDARY, options=("ipo_beta",)
    ),
    "dpop": LossFacts(
        "DPOP",
        "DPO, with the better response held at the reference policy",
        needs_reference=True,
        options=("dpo_beta", "dpop_lambda"),
    ),
    "minor_dpo": LossFacts(
        "MinorDPO",
        "DPO, whose push ends at the reference policy",
        needs_reference=True,
        constraints=NO_BOUNDARY,
        options=("dpo_beta",),
    ),
    "bdpo": LossFacts(
        "BDPO",
        "DPO, whose push fades below the reference policy",
        needs_reference=True,
        constraints=NO_BOUNDARY,
        options=("dpo_beta", "bdpo_lambda"),
    ),
    "sppo": LossFacts(
        "SPPO",
        "log-ratios towards a target above 0 and one below",
        needs_reference=True,
        constraints=NO_BOUNDARY,
        options=("dpo_beta",),
    ),
    "nca": LossFacts(
        "NCA", "each response by itself: better ones up, all down a little", needs_reference=True, options=("dpo_beta", "nca_alpha")
    ),
    "infonca": LossFacts(
        "InfoNCA",
        "a softmax over the log-ratios of all candidates; of one pair, DPO",
        needs_reference=True,
        options=("dpo_beta", "nca_alpha"),
    ),
    "apo_zero": LossFacts(
        "APO-zero",
        "each response by itself: better ones up, worse ones down, both fading",
        needs_reference=True,
        constraints=NO_BOUNDARY,
        options=("dpo_beta",),
    ),
}
