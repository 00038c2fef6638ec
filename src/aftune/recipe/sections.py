"""The sections of a recipe, one for each stage: their keys, defaults and what they mean. Strict: no unknown keys, no silent
conversions."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from aftune.common.yaml_text import to_yaml
from aftune.recipe.losses import LOSSES

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
StopString = Annotated[str, Field(min_length=1)]


def _expanded(path: Path) -> Path:
    """The path with the home folder in place of `~`."""
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise PydanticCustomError("no_home", "there is no home folder for {path}", {"path": path.parts[0]}) from error


def _name(text: str | None) -> str | None:
    if text is not None and (not text.isprintable() or text.isspace()):
        raise PydanticCustomError("not_printable", "expected one line of printable characters")
    return text


FilePath = Annotated[Path, Field(strict=False), AfterValidator(_expanded)]  # written as text


class Harmless:
    """Marks a setting whose change redoes no stage: it decides how fast something is computed, where, or in how much memory, and
    changes results by rounding at most; or it says where files are, and their content is compared instead."""


HARMLESS = Harmless()


class Section(BaseModel):
    """Base of all sections: no unknown keys, no silent conversions of texts to numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelSection(Section):
    """The base model: `bundled`, a local folder in Hugging Face format, or a Hub name, there at a `revision`: a branch, a tag or a
    commit, by default the main branch.

    With `precision` bfloat16, training computes in bfloat16 (weights stay float32, as `weights` says) and sampling has bfloat16
    weights; scores in `evaluate` are always computed in float32. `auto` is bfloat16 if a short timing of matrix products shows that
    it is faster, else float32; a run keeps what it began with. weights: the type that trained weights are held in; bfloat16 takes
    half the memory for them and their gradients, and needs precision bfloat16; updates are then rounded at random, up or down, such
    that small ones count on average (aftune.training.rounding). `attention` is the implementation in transformers; auto leaves the
    choice to transformers. save_dtype: the type of the weights in `model/` folders, from which later stages continue; auto is that
    of the base model.
    """

    name: Annotated[str, HARMLESS] = "bundled"  # its files, or its commit on the Hub, are compared instead
    revision: Annotated[str | None, Field(min_length=1)] = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    weights: Literal["float32", "bfloat16"] = "float32"
    attention: Annotated[Literal["auto", "eager", "sdpa", "flash_attention_2", "flex_attention"], HARMLESS] = "auto"
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], HARMLESS] = "auto"
    save_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _short_weights_compute_short(self) -> "ModelSection":
        if self.weights == "bfloat16" and self.precision == "float32":
            raise ValueError(
                "weights: bfloat16 weights cannot be computed with in float32; set precision bfloat16, or leave weights out"
            )
        return self

    @property
    def load_options(self) -> dict[str, Any]:
        """What loading its files takes besides the name."""
        return {"trust_remote_code": self.trust_remote_code, "revision": self.revision}


class AdapterSection(Section):
    """Training a small adapter (PEFT) instead of all weights, which stay frozen in the model's precision, or with qlora in 4 bits.

    targets: the layers that get one: auto is PEFT's choice for the architecture, all-linear every linear layer but the head, or
    names of layers. modules_to_save: layers that are trained whole beside it. merge: whether a stage also leaves a plain model
    with the adapter merged in; without it, as always with qlora, later stages load base model and adapter.
    """

    kind: Literal["none", "lora", "dora", "qlora"] = "none"
    rank: Count = 16
    alpha: Positive = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Literal["auto", "all-linear"] | list[str] = "auto"
    modules_to_save: list[str] = []
    merge: bool = True

    @model_validator(mode="before")
    @classmethod
    def _merged_where_exact(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("kind") == "qlora":
            return {"merge": False} | values
        return values

    @model_validator(mode="after")
    def _four_bits_are_not_merged(self) -> "AdapterSection":
        if self.kind == "qlora" and self.merge:
            raise ValueError(
                "merge: merging into the 4-bit weights of qlora would round them; leave it out or set false, "
                "and merge into the unquantised model afterwards with `aftune export RUN --to merged`"
            )
        return self


class Slices(Section):
    """What is used from a task: splits, or slices of them (`train[:1000]`, `test[50%:]`). options: the task's own settings
    (docs/tasks.md)."""

    name: str = "arithmetic"
    train: str = "train[:1000]"
    validation: str = "validation[:300]"
    test: str = "test[:600]"
    options: dict[str, Any] = {}


class PartSection(Slices):
    """A task in a mixture; without its own `data` it reads from that of the recipe."""

    name: str
    data: Annotated[FilePath | None, HARMLESS] = None


class TaskSection(Slices):
    """The questions; with `name: mixture`, those of all `parts`. Its own splits are then train, validation and test of all
    parts, whole unless they are sliced here."""

    skip_too_long: bool = False
    parts: list[PartSection] = []

    @model_validator(mode="before")
    @classmethod
    def _whole_mixture(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("name") == "mixture":
            return {split: split for split in ("train", "validation", "test")} | values
        return values

    @property
    def title(self) -> str:
        """The task's name, or those of its parts, for headings."""
        return " + ".join(part.name for part in self.parts) if self.parts else self.name


class PromptSection(Section):
    """How a question is asked: plain, in the form of Alpaca, or with the model's chat template.

    system: the first paragraph, or the system message of a chat. instruction: what to do with the question. few_shot: this many
    training problems with their references come first, fixed by the seed; they stay in training, where none is shown in its own
    prompt.
    """

    style: Literal["plain", "alpaca", "chat"] = "plain"
    system: str | None = None
    instruction: str | None = None
    few_shot: Annotated[int, Field(ge=0)] = 0


class TrainingSection(Section):
    """What every training stage shares. `optimizer`: adamw, or another name that transformers knows (adafactor, adamw_8bit, ...).
    `batch_size` is problems per optimizer step; `token_budget` is tokens in one forward and
    backward pass: it determines the memory needed and changes no result. `kept_logits_gib`: logits of such a pass that take no more
    than this are kept, larger ones are computed twice; that changes no result either."""

    learning_rate: Positive = 2e-5
    lr_schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_fraction: Fraction = 0.03
    num_epochs: Positive = 3.0
    batch_size: Count = 16
    token_budget: Annotated[Count, HARMLESS] = 4096
    kept_logits_gib: Annotated[NotNegative, HARMLESS] = 0.5
    optimizer: str = "adamw"
    weight_decay: NotNegative = 0.0
    max_grad_norm: Positive = 1.0
    gradient_checkpointing: Annotated[bool, HARMLESS] = False


class LaunchSection(Section):
    """Processes on this machine, which share the work of training, sampling and scoring: a number, or auto for one per GPU.

    sharding: what each of them holds a part of while training: nothing; weights, gradients and optimizer state (fsdp), or
    gradients and optimizer state alone (zero2, of DeepSpeed). offload: whether what is sharded waits in the memory of the CPU.
    """

    processes: Annotated[Literal["auto"] | Count, HARMLESS] = 1
    sharding: Annotated[Literal["none", "fsdp", "zero2"], HARMLESS] = "none"
    offload: Annotated[bool, HARMLESS] = False


class SaveSection(Section):
    """Checkpoints of a stage that trains: at the end of each epoch and after so many minutes, of which the last ones are kept."""

    minutes: Annotated[Positive, HARMLESS] = 15.0
    keep: Annotated[Count, HARMLESS] = 2


class TrackSection(Section):
    """Trackers that show the curves of a stage while it trains, each of which has to be installed. project: what trackio, wandb and
    MLflow file the run under; by default what WANDB_PROJECT and MLFLOW_EXPERIMENT_NAME say, or else `aftune`."""

    report_to: Annotated[list[Literal["tensorboard", "trackio", "wandb", "mlflow"]], HARMLESS] = []
    project: Annotated[str | None, HARMLESS] = None


class SftSection(TrainingSection):
    """Vanilla fine-tuning (VFT). Validation accuracy is measured after each epoch, the best epoch's weights are kept, and
    training ends after `patience` epochs without a better one."""

    patience: Count | None = None


class EngineSection(Section):
    """What samples: transformers or vllm, in this process; openai, any server that speaks its protocol; ray, one of the first two
    on every machine of a cluster. The name alone (`engine: vllm`) sets `kind`.

    For openai: base_url, such as http://localhost:8000/v1; model, its name there, where the server has several; api, completions,
    or chat for messages (auto: as prompt.style asks); key_variable, the variable of the environment that holds the key;
    concurrency, requests under way; timeout, seconds for an answer; attempts, for what may pass; prompt_price and
    completion_price, for a million tokens; same_tokenizer, whether it has to count a prompt's tokens as this model's tokenizer
    does; extra, further keys of a request.
    logprobs: whether candidates of vllm and openai keep the log-probability that the engine has for them; the summary of `sample`
    says how far that is from ours. Scores are always ours.
    For ray: engine, what workers sample with; workers, auto for one per GPU that gpus_per_worker asks for, or one per core;
    gpus_per_worker; timeout, seconds until all workers run. Verdicts and held-out scores are spread over them too.
    """

    kind: Literal["transformers", "vllm", "openai", "ray"] = "transformers"
    base_url: Annotated[str | None, HARMLESS] = None
    model: str | None = None
    api: Literal["auto", "completions", "chat"] = "auto"
    key_variable: Annotated[str, HARMLESS] = "OPENAI_API_KEY"
    concurrency: Annotated[Count, HARMLESS] = 32
    timeout: Annotated[Positive, HARMLESS] = 600.0
    attempts: Annotated[Count, HARMLESS] = 8
    prompt_price: Annotated[NotNegative, HARMLESS] = 0.0
    completion_price: Annotated[NotNegative, HARMLESS] = 0.0
    same_tokenizer: bool = True
    extra: dict[str, Any] = {}
    logprobs: Annotated[bool, HARMLESS] = False
    engine: Literal["transformers", "vllm"] = "transformers"
    workers: Annotated[Literal["auto"] | Count, HARMLESS] = "auto"
    gpus_per_worker: Annotated[NotNegative, HARMLESS] = 0.0

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, values: Any) -> Any:
        return {"kind": values} if isinstance(values, str) else values

    @model_validator(mode="after")
    def _address_of_a_server(self) -> "EngineSection":
        if (self.base_url is None) == (self.kind == "openai"):
            raise ValueError("base_url: kind openai needs it, the others have none; for example http://localhost:8000/v1")
        if self.base_url is not None and not re.match(r"https?://[^/@\s]+(?:/|$)", self.base_url):
            raise ValueError(
                "base_url: expected http:// or https:// and a host, without a name or password; keys come from the environment"
            )
        return self


class SamplingSection(Section):
    """How responses are drawn. `batch_size` is sequences generated at once; files grow by four times as many.

    stop: texts before which a response is cut, in addition to the stop tokens; auto: what begins the next example, if the prompt
    has examples.
    """

    num_candidates: Count = 6
    temperature: Positive = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    max_new_tokens: Count = 192
    stop: Literal["auto"] | list[StopString] = "auto"
    batch_size: Annotated[Count, HARMLESS] = 256
    engine: EngineSection = EngineSection()


class SourceSection(Section):
    """Another model whose responses join the candidates, such as a larger one. name: what its candidates say that they are from.
    model: a folder or a name on the Hub, which `engine` loads; a server has its own."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    num_candidates: Count = 1
    model: str | None = None
    engine: EngineSection = EngineSection()

    @model_validator(mode="after")
    def _one_model(self) -> "SourceSection":
        if (self.model is None) != (self.engine.kind == "openai"):
            raise ValueError("model: a folder or a name on the Hub, or leave it out for a server (engine.base_url, engine.model)")
        return self


class SampleSection(SamplingSection):
    """The candidates that training learns from: `num_candidates` of the model that is trained, and those of `sources`."""

    num_candidates: Annotated[int, Field(ge=0)] = 6
    sources: list[SourceSection] = []

    @property
    def num_all(self) -> int:
        """Candidates of each problem, from all sources."""
        return self.num_candidates + sum(source.num_candidates for source in self.sources)

    @model_validator(mode="after")
    def _some_candidates(self) -> "SampleSection":
        names = [source.name for source in self.sources]
        if len(set(names)) < len(names):
            raise ValueError(f"sources: two have the same name ({', '.join(names)}); give each its own")
        if not self.num_all:
            raise ValueError("num_candidates: is 0 and there are no sources; take some candidates")
        return self


class ColumnsSection(Section):
    """The names that an imported file uses; a format without such a field ignores its name."""

    problem_id: str = "problem_id"
    question: str = "question"
    text: str = "text"
    index: str = "index"
    finish_reason: str = "finish_reason"


class ImportSection(Section):
    """Candidates made elsewhere, used instead of sampling; `path` is a file, or a folder of them, here or in `data`."""

    format: Literal["gsm8k_solutions", "zeroeval", "lm_eval", "openai_batch", "json_lines"]
    path: Annotated[FilePath, HARMLESS]
    columns: ColumnsSection = ColumnsSection()


class LabelSection(Section):
    """How candidates are judged. `strict` reads the format that was asked for, `flexible` the last statement of an answer."""

    reading: Literal["strict", "flexible"] = "strict"


class AlignSection(TrainingSection):
    """Alignment fine-tuning: the VFT loss plus an alignment loss, AFT's or another method's, with or without constraint.

    beta: nats per token (nats for a loss with a reference policy), or auto: such that worse candidates are pushed, at the start, by
    `auto_beta_push` of what pushes them without constraint (our derivation). feedback: right and wrong, or the task's ranking; task
    is the task's own choice. num_candidates: at most this many samples of a problem, the first ones. sft_on: what the VFT loss is
    taken on: the reference, or also the right candidates as RFT selects them, at most `max_positives` a problem.
    validation_groups: this many training problems are left out by `align` and `control`, and the assessment accuracy on their
    candidates is measured before training and after each epoch.
    rrhf_length_normalisation, pro_eps and sft_reduction: where the official code of RRHF (`padded`) and PRO (1.0e-10,
    `token_sum`) differs from the papers.
    dpo_beta is for dpo and all others that compare with a reference policy but ipo; simpo_*, ipo_*, dpop_*, bdpo_* and nca_* (nca,
    infonca) are numbers of these losses (aftune.losses). sppo needs a small alignment_weight: with dpo_beta 0.1 its push begins at
    200 times that of dpo.
    """

    loss: Literal[
        "aft", "rrhf", "pro", "dpo", "simpo", "ipo", "dpop", "minor_dpo", "bdpo", "sppo", "nca", "infonca", "apo_zero"
    ] = "aft"
    constraint: Literal["none", "detached", "boundary"] = "boundary"
    beta: Positive | Literal["auto"] = 0.15
    auto_beta_push: Annotated[float, Field(gt=0, lt=1)] = 0.75
    detach_boundary: bool = True
    dpo_beta: Positive = 0.1
    rrhf_length_normalisation: Literal["response", "padded"] = "response"
    pro_eps: NotNegative = 0.0
    simpo_beta: Positive = 2.0
    simpo_gamma: NotNegative = 1.0
    ipo_beta: Positive = 1.0
    dpop_lambda: NotNegative = 50.0
    bdpo_lambda: Annotated[float, Field(gt=0, lt=1)] = 0.5
    nca_alpha: NotNegative = 0.0
    feedback: Literal["task", "binary", "ranking"] = "task"
    num_candidates: Count | None = None
    alignment_weight: NotNegative = 1.0
    sft_weight: NotNegative = 1.0
    sft_on: Literal["reference", "positives"] = "reference"
    max_positives: Count | None = None
    sft_reduction: Literal["token_mean", "token_sum"] = "token_mean"
    start: Literal["vft", "base"] = "vft"
    reference_is_candidate: bool = True
    validation_groups: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _constraint_fits_the_loss(self) -> "AlignSection":
        facts = LOSSES[self.loss]
        if self.constraint not in facts.constraints:
            allowed = " or ".join(facts.constraints)
            raise ValueError(f"constraint: {self.loss} takes no {self.constraint}; set {allowed}")
        return self


class ControlSection(Section):
    """The control: VFT continued from where `align` starts, on the same problems, for as many optimizer steps as `align` takes
    or for as many trained tokens."""

    enabled: bool = True
    match: Literal["steps", "compute"] = "steps"


class RlSection(Section):
    """Online reinforcement learning in a comparison, by GRPO or RLOO (TRL's trainers): responses are sampled from the model as it
    is trained, as `sample` says, and rewarded 1 if they are right, else 0. The name of the method sets `algorithm`.

    batch_size: problems per optimizer step, with sample.num_candidates responses each; as many responses as problems are computed
    forward and backward at once. num_epochs: times that each problem is sampled for; by default as many as there are `rounds`, so
    that all methods learn from equally many samples. kl_weight: of the divergence from the model that training starts from, TRL's
    beta; 0 needs no second model.
    """

    algorithm: Literal["grpo", "rloo"] = "grpo"
    learning_rate: Positive = 1e-6
    lr_schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    warmup_fraction: Fraction = 0.03
    num_epochs: Count | None = None
    batch_size: Count = 16
    kl_weight: NotNegative = 0.0
    max_grad_norm: Positive = 1.0
    gradient_checkpointing: Annotated[bool, HARMLESS] = False


class EvaluateSection(SamplingSection):
    """Greedy task accuracy, and assessment accuracy on `num_candidates` responses a problem sampled from the VFT model.

    num_votes: responses a problem sampled from each model itself, for voting and pass@k; 0 for none.
    """

    num_candidates: Annotated[int, Field(ge=2)] = 8
    num_votes: Annotated[int, Field(ge=0)] = 0


class CompareSection(Section):
    """What `aftune compare` compares: methods by name, with settings of `align` after colons (`aft-bc:beta=0.3`), each over
    `num_seeds` seeds, starting with `seed`. jobs: runs at a time, each with its share of the cores."""

    methods: list[str] = ["vft", "vft-steps", "rft", "rrhf", "pro", "dpo", "aft", "aft-dc", "aft-bc"]
    num_seeds: Count = 1
    jobs: Count = 1


class ReportSection(Section):
    """The page: how many groups to show in full, and of how many held-out questions the answers of all models."""

    num_groups: Annotated[int, Field(ge=0)] = 20
    num_answers: Annotated[int, Field(ge=0)] = 5000


class Recipe(Section):
    """Everything that a run depends on. name: what it is called, in the terminal and on the page, if not by its folder. rounds: how
    many times sample, label and align are done, each from the latest model."""

    run_dir: FilePath
    name: Annotated[str | None, Field(min_length=1, max_length=100), AfterValidator(_name), HARMLESS] = None
    seed: Annotated[int, Field(ge=0)] = 0
    rounds: Count = 1
    data: Annotated[FilePath | None, HARMLESS] = None
    model: ModelSection = ModelSection()
    adapter: AdapterSection = AdapterSection()
    task: TaskSection = TaskSection()
    prompt: PromptSection = PromptSection()
    candidates: ImportSection | None = None
    launch: LaunchSection = LaunchSection()
    save: SaveSection = SaveSection()
    track: TrackSection = TrackSection()
    sft: SftSection = SftSection()
    sample: SampleSection = SampleSection()
    label: LabelSection = LabelSection()
    align: AlignSection = AlignSection()
    control: ControlSection = ControlSection()
    rl: RlSection = RlSection()
    evaluate: EvaluateSection = EvaluateSection()
    report: ReportSection = ReportSection()
    compare: CompareSection = CompareSection()

    @model_validator(mode="after")
    def _frozen_or_sharded_weights(self) -> "Recipe":
        sharding = self.launch.sharding
        if self.model.weights == "bfloat16" and self.adapter.kind != "none":
            raise ValueError("model.weights: an adapter is small and is trained in float32; leave model.weights out")
        if self.model.weights == "bfloat16" and sharding != "none":
            raise ValueError(
                f"model.weights: sharded weights are trained in float32; leave it out, or launch.sharding ({sharding})"
            )
        if self.adapter.kind == "qlora" and sharding == "fsdp":
            raise ValueError("launch.sharding: fsdp does not take the 4-bit weights of qlora; set none or zero2, or use lora")
        return self

    @property
    def title(self) -> str:
        """The run's name, by default that of its folder."""
        return self.name or self.run_dir.resolve().name

    def to_yaml(self) -> str:
        return to_yaml(self.model_dump(mode="json"))
