"""The sections of a recipe, one for each stage: their keys, defaults and what they mean. Strict: no unknown keys, no silent
conversions. The text below a key is its description, which docs/reference/recipe.md shows (`make reference`)."""

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
BUNDLED = "bundled"  # the name of the model that comes with aftune


class Section(BaseModel):
    """Base of all sections: no unknown keys, no silent conversions of texts to numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True)


class ModelSection(Section):
    """The base model, how it is loaded, and the precision of a run."""

    name: Annotated[str, HARMLESS] = BUNDLED  # its files, or its commit on the Hub, are compared instead
    """`bundled`, a local folder in Hugging Face format, or a name of the Hub."""
    revision: Annotated[str | None, Field(min_length=1)] = None
    """A branch, a tag or a commit of a model of the Hub; by default its main branch."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """What training and sampling compute in. With bfloat16, trained weights stay float32 (see `weights`) and sampling has
    bfloat16 weights; scores in `evaluate` are float32 in any case. auto: bfloat16 if a short timing of matrix products
    shows that it is faster, else float32; a run keeps what it began with."""
    weights: Literal["float32", "bfloat16"] = "float32"
    """The type that trained weights are held in. bfloat16 takes half the memory for them and their gradients and needs
    precision bfloat16; updates are then rounded at random, up or down, such that small ones count on average
    (aftune.training.rounding)."""
    attention: Annotated[Literal["auto", "eager", "sdpa", "flash_attention_2", "flex_attention"], HARMLESS] = "auto"
    """The implementation in transformers; auto leaves the choice to transformers."""
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], HARMLESS] = "auto"
    """Where to compute; auto: a GPU if there is one."""
    save_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """The type of the weights in `model/` folders, from which later stages continue; auto: that of the base model."""
    trust_remote_code: bool = False
    """Whether code that comes with a model of the Hub may run here. Turn it on only for code that you have read."""

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
    """Training a small adapter (PEFT) instead of all weights, which stay frozen in the model's precision, or in 4 bits (qlora)."""

    kind: Literal["none", "lora", "dora", "qlora"] = "none"
    """none trains all weights; lora and dora an adapter; qlora an adapter beside a base in 4 bits."""
    rank: Count = 16
    """The rank of the adapter."""
    alpha: Positive = 32.0
    """Its scale: an update is multiplied by alpha / rank."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the inputs of the adapter that are dropped in training."""
    targets: Literal["auto", "all-linear"] | list[str] = "auto"
    """The layers that get one: auto is PEFT's choice for the architecture, all-linear every linear layer but the head, or
    names of layers."""
    modules_to_save: list[str] = []
    """Layers that are trained whole beside it."""
    merge: bool = True
    """Whether a stage also leaves a plain model with the adapter merged in; without it, as always with qlora, later stages
    load base model and adapter."""

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
    """What is used from a task: splits, or slices of them (`train[:1000]`, `test[50%:]`)."""

    name: str = "arithmetic"
    """The task: a name of `aftune tasks`, or mixture."""
    train: str = "train[:1000]"
    """The problems to train on."""
    validation: str = "validation[:300]"
    """The problems on which the best epoch of VFT is chosen."""
    test: str = "test[:600]"
    """The held-out problems, on which models are measured."""
    options: dict[str, Any] = {}
    """The task's own settings (docs/tasks.md)."""


class PartSection(Slices):
    """A task in a mixture."""

    name: str
    """The task: a name of `aftune tasks`."""
    data: Annotated[FilePath | None, HARMLESS] = None
    """Its folder or file; without it, that of the recipe."""


class TaskSection(Slices):
    """The questions; with `name: mixture`, those of all `parts`. Its own splits are then train, validation and test of all
    parts, whole unless they are sliced here."""

    skip_too_long: bool = False
    """Whether problems that do not fit the model's context are left out and listed; otherwise they are an error."""
    parts: list[PartSection] = []
    """The tasks of a mixture."""

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
    """How a question is asked: the same for training, sampling and evaluation."""

    style: Literal["plain", "alpaca", "chat"] = "plain"
    """plain: the task's own words; alpaca: the form of Alpaca; chat: the model's chat template."""
    system: str | None = None
    """The first paragraph, or the system message of a chat."""
    instruction: str | None = None
    """What to do with the question."""
    few_shot: Annotated[int, Field(ge=0)] = 0
    """This many training problems with their references come first, fixed by the seed; they stay in training, where none is
    shown in its own prompt."""


class TrainingSection(Section):
    """What every training stage shares."""

    learning_rate: Positive = 2e-5
    """The highest learning rate, after warm-up."""
    lr_schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after warm-up."""
    warmup_fraction: Fraction = 0.03
    """Share of all steps over which the learning rate rises."""
    num_epochs: Positive = 3.0
    """Times that every problem is trained on; may be a fraction."""
    batch_size: Count = 16
    """Problems per optimizer step, over all processes."""
    token_budget: Annotated[Count, HARMLESS] = 4096
    """Tokens in one forward and backward pass: it determines the memory needed and changes no result."""
    kept_logits_gib: Annotated[NotNegative, HARMLESS] = 0.5
    """Logits of such a pass that take no more than this many GiB are kept, larger ones are computed twice; that changes no
    result either."""
    optimizer: str = "adamw"
    """adamw, or another name that transformers knows (adafactor, adamw_8bit, ...)."""
    weight_decay: NotNegative = 0.0
    """Weight decay of the optimizer."""
    max_grad_norm: Positive = 1.0
    """Gradients with a larger norm are scaled down to it."""
    gradient_checkpointing: Annotated[bool, HARMLESS] = False
    """Whether activations are computed again in the backward pass: less memory, more time, the same result."""


class LaunchSection(Section):
    """Processes on this machine, which share the work of training, sampling and scoring."""

    processes: Annotated[Literal["auto"] | Count, HARMLESS] = 1
    """A number, or auto for one per GPU."""
    sharding: Annotated[Literal["none", "fsdp", "zero2"], HARMLESS] = "none"
    """What each process holds a part of while training: nothing; weights, gradients and optimizer state (fsdp); or gradients
    and optimizer state alone (zero2, of DeepSpeed)."""
    offload: Annotated[bool, HARMLESS] = False
    """Whether what is sharded waits in the memory of the CPU."""


class SaveSection(Section):
    """Checkpoints of a stage that trains: at the end of each epoch and after so many minutes, of which the last ones are kept."""

    minutes: Annotated[Positive, HARMLESS] = 15.0
    """Minutes between two checkpoints within an epoch."""
    keep: Annotated[Count, HARMLESS] = 2
    """How many of the last checkpoints are kept."""


class TrackSection(Section):
    """Trackers that show the curves of a stage while it trains."""

    report_to: Annotated[list[Literal["tensorboard", "trackio", "wandb", "mlflow"]], HARMLESS] = []
    """Their names, each of which has to be installed."""
    project: Annotated[str | None, HARMLESS] = None
    """What trackio, wandb and MLflow file the run under; by default what WANDB_PROJECT and MLFLOW_EXPERIMENT_NAME say, or else
    `aftune`."""


class SftSection(TrainingSection):
    """Vanilla fine-tuning (VFT). It is validated after each epoch, and the best epoch's weights are kept."""

    keep: Literal["accuracy", "loss"] = "accuracy"
    """Which epoch: that of the highest validation accuracy, of equal ones that of the lowest loss; or that of the lowest loss on
    the validation references, which is steadier where they are few."""
    patience: Count | None = None
    """Training ends after this many epochs without a better one."""


class EngineSection(Section):
    """What samples: transformers or vllm, in this process; openai, any server that speaks its protocol; ray, one of the first two
    on every machine of a cluster. The name alone (`engine: vllm`) sets `kind`."""

    kind: Literal["transformers", "vllm", "openai", "ray"] = "transformers"
    """Which of them."""
    base_url: Annotated[str | None, HARMLESS] = None
    """openai: the address of the server, such as http://localhost:8000/v1."""
    model: str | None = None
    """openai: the name of the model there, where the server has several."""
    api: Literal["auto", "completions", "chat"] = "auto"
    """openai: completions, or chat for messages; auto: as prompt.style asks."""
    key_variable: Annotated[str, HARMLESS] = "OPENAI_API_KEY"
    """openai: the variable of the environment that holds the key."""
    concurrency: Annotated[Count, HARMLESS] = 32
    """openai: requests under way."""
    timeout: Annotated[Positive, HARMLESS] = 600.0
    """Seconds: for an answer of a server, or until all workers of a cluster run."""
    attempts: Annotated[Count, HARMLESS] = 8
    """openai: how often a request is made whose failure may pass."""
    prompt_price: Annotated[NotNegative, HARMLESS] = 0.0
    """openai: the price of a million tokens of prompts, for the summary."""
    completion_price: Annotated[NotNegative, HARMLESS] = 0.0
    """openai: that of a million tokens of responses."""
    same_tokenizer: bool = True
    """openai: whether the server has to count a prompt's tokens as this model's tokenizer does."""
    extra: dict[str, Any] = {}
    """Further keys of a request (openai), or arguments of vllm.LLM (vllm)."""
    logprobs: Annotated[bool, HARMLESS] = False
    """Whether candidates of vllm and openai keep the log-probability that the engine has for them; the summary of `sample`
    says how far that is from ours. Scores are always ours."""
    engine: Literal["transformers", "vllm"] = "transformers"
    """ray: what workers sample with."""
    workers: Annotated[Literal["auto"] | Count, HARMLESS] = "auto"
    """ray: how many; auto: one per GPU that gpus_per_worker asks for, or one per core. Verdicts and held-out scores are spread
    over them too."""
    gpus_per_worker: Annotated[NotNegative, HARMLESS] = 0.0
    """ray: GPUs of each worker; may be a fraction."""

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
    """How responses are drawn."""

    num_candidates: Count = 6
    """Responses sampled for each problem."""
    temperature: Positive = 1.0
    """Divides the logits: below 1 responses are more alike, above 1 less."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Only the most likely tokens that make up this probability are drawn; 1: all."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Only this many of the most likely tokens are drawn; 0: all."""
    max_new_tokens: Count = 192
    """The longest response; one that has not ended by then is cut off."""
    stop: Literal["auto"] | list[StopString] = "auto"
    """Texts before which a response is cut, in addition to the stop tokens; auto: what begins the next example, if the prompt
    has examples."""
    batch_size: Annotated[Count, HARMLESS] = 256
    """Sequences generated at once; files grow by four times as many."""
    engine: EngineSection = EngineSection()
    """What samples."""


class SourceSection(Section):
    """Another model whose responses join the candidates, such as a larger one."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    """What its candidates say that they are from."""
    num_candidates: Count = 1
    """Its responses to each problem."""
    model: str | None = None
    """A folder or a name of the Hub, which `engine` loads; a server has its own."""
    engine: EngineSection = EngineSection()
    """What samples from it."""

    @model_validator(mode="after")
    def _one_model(self) -> "SourceSection":
        if (self.model is None) != (self.engine.kind == "openai"):
            raise ValueError("model: a folder or a name on the Hub, or leave it out for a server (engine.base_url, engine.model)")
        return self


class SampleSection(SamplingSection):
    """The candidates that training learns from: `num_candidates` of the model that is trained, and those of `sources`."""

    num_candidates: Annotated[int, Field(ge=0)] = 6
    """Responses of the model that is trained to each problem, often called k; 0 for none, with sources."""
    sources: list[SourceSection] = []
    """Other models whose responses join."""

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
    """The id of the problem."""
    question: str = "question"
    """The question, where there is no id."""
    text: str = "text"
    """The response."""
    index: str = "index"
    """The response's number within its problem."""
    finish_reason: str = "finish_reason"
    """Why it ended: stop or length."""


class ImportSection(Section):
    """Candidates made elsewhere, used instead of sampling."""

    format: Literal["gsm8k_solutions", "zeroeval", "lm_eval", "openai_batch", "json_lines"]
    """The format of the file (docs/interchange.md)."""
    path: Annotated[FilePath, HARMLESS]
    """A file, or a folder of them, here or in `data`."""
    columns: ColumnsSection = ColumnsSection()
    """The names that the file uses."""


class LabelSection(Section):
    """How candidates are judged."""

    reading: Literal["strict", "flexible"] = "strict"
    """strict reads the format that was asked for, flexible the last statement of an answer."""


class AlignSection(TrainingSection):
    """Alignment fine-tuning: the VFT loss plus an alignment loss, AFT's or another method's, with or without constraint. Formulas:
    docs/method.md."""

    loss: Literal[
        "aft", "rrhf", "pro", "dpo", "simpo", "ipo", "dpop", "minor_dpo", "bdpo", "sppo", "nca", "infonca", "apo_zero"
    ] = "aft"
    """The alignment loss."""
    constraint: Literal["none", "detached", "boundary"] = "boundary"
    """What ends the push on worse candidates: nothing; their scores are detached; or a boundary, to which they are pushed from
    both sides."""
    beta: Positive | Literal["auto"] = "auto"
    """How far the boundary lies below the lowest better candidate: nats per token (nats for a loss with a reference policy),
    or auto: such that worse candidates are pushed, at the start, by `auto_beta_push` of what pushes them without constraint
    (our derivation)."""
    auto_beta_push: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """The share of the push that an automatic beta keeps."""
    detach_boundary: bool = True
    """Whether the boundary is a constant for the gradient; otherwise it would push the worst of the better candidates down."""
    dpo_beta: Positive = 0.1
    """beta of dpo and of all others that compare with a reference policy but ipo."""
    rrhf_length_normalisation: Literal["response", "padded"] = "response"
    """rrhf: what a score is divided by; padded is what RRHF's official code does."""
    pro_eps: NotNegative = 0.0
    """pro: added within the logarithm; 1.0e-10 is what PRO's official code does."""
    simpo_beta: Positive = 2.0
    """beta of simpo."""
    simpo_gamma: NotNegative = 1.0
    """gamma of simpo: the margin."""
    ipo_beta: Positive = 1.0
    """beta of ipo."""
    dpop_lambda: NotNegative = 50.0
    """lambda of dpop: how firmly better candidates are held at the reference policy."""
    bdpo_lambda: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """lambda of bdpo."""
    nca_alpha: NotNegative = 0.0
    """nca and infonca: the temperature of the qualities; 0: the best share all."""
    feedback: Literal["task", "binary", "ranking"] = "task"
    """What makes a candidate better: right and wrong, or the task's ranking; task is the task's own choice."""
    num_candidates: Count | None = None
    """At most this many samples of a problem, the first ones; by default all."""
    alignment_weight: NotNegative = 1.0
    """The factor of the alignment loss; 0: none, which is RFT or more VFT. sppo needs a small one: with dpo_beta 0.1 its push
    begins at 200 times that of dpo."""
    sft_weight: NotNegative = 1.0
    """The factor of the VFT loss."""
    sft_on: Literal["reference", "positives"] = "reference"
    """What the VFT loss is taken on: the reference, or also the right candidates as RFT selects them."""
    max_positives: Count | None = None
    """At most this many right candidates a problem for sft_on; by default all."""
    sft_reduction: Literal["token_mean", "token_sum"] = "token_mean"
    """Mean over the tokens of a step, or the sum over a group's tokens, as PRO's official code does."""
    start: Literal["vft", "base"] = "vft"
    """The model that alignment starts from."""
    reference_is_candidate: bool = True
    """Whether the reference joins the better candidates."""
    validation_groups: Annotated[int, Field(ge=0)] = 0
    """This many training problems are left out by `align` and `control`, and the assessment accuracy on their candidates is
    measured before training and after each epoch."""

    @model_validator(mode="after")
    def _constraint_fits_the_loss(self) -> "AlignSection":
        facts = LOSSES[self.loss]
        if self.constraint not in facts.constraints:
            allowed = " or ".join(facts.constraints)
            raise ValueError(f"constraint: {self.loss} takes no {self.constraint}; set {allowed}")
        return self


class ControlSection(Section):
    """The control: VFT continued from where `align` starts, on the same problems."""

    enabled: bool = True
    """Whether there is one."""
    match: Literal["steps", "compute"] = "steps"
    """As many optimizer steps as `align` takes, or as many trained tokens."""


class RlSection(Section):
    """Online reinforcement learning in a comparison, by GRPO or RLOO (TRL's trainers): responses are sampled from the model as it
    is trained, as `sample` says, and rewarded 1 if they are right, else 0."""

    algorithm: Literal["grpo", "rloo"] = "grpo"
    """Set by the name of the method."""
    learning_rate: Positive = 1e-6
    """The highest learning rate, after warm-up."""
    lr_schedule: Literal["cosine", "linear", "constant", "constant_with_warmup"] = "cosine"
    """How the learning rate falls after warm-up."""
    warmup_fraction: Fraction = 0.03
    """Share of all steps over which the learning rate rises."""
    num_epochs: Count | None = None
    """Times that each problem is sampled for; by default as many as there are `rounds`, so that all methods learn from equally
    many samples."""
    batch_size: Count = 16
    """Problems per optimizer step, with sample.num_candidates responses each; as many responses as problems are computed
    forward and backward at once."""
    kl_weight: NotNegative = 0.0
    """Weight of the divergence from the model that training starts from, TRL's beta; 0 needs no second model."""
    max_grad_norm: Positive = 1.0
    """Gradients with a larger norm are scaled down to it."""
    gradient_checkpointing: Annotated[bool, HARMLESS] = False
    """Whether activations are computed again in the backward pass."""


class EvaluateSection(SamplingSection):
    """Greedy task accuracy, and assessment accuracy on `num_candidates` responses a problem sampled from the VFT model."""

    num_candidates: Annotated[int, Field(ge=2)] = 8
    """Responses of the VFT model to each held-out problem, for assessment accuracy."""
    num_votes: Annotated[int, Field(ge=0)] = 0
    """Responses a problem sampled from each model itself, for voting and pass@k; 0 for none."""


class CompareSection(Section):
    """What `aftune compare` compares."""

    methods: list[str] = ["vft", "vft-steps", "rft", "rrhf", "pro", "dpo", "aft", "aft-dc", "aft-bc"]
    """Methods by name, with settings of `align` after colons (`aft-bc:beta=0.3`)."""
    num_seeds: Count = 1
    """Each method is run over this many seeds, starting with `seed`."""
    jobs: Count = 1
    """Runs at a time, each with its share of the cores."""


class ReportSection(Section):
    """The page."""

    num_groups: Annotated[int, Field(ge=0)] = 20
    """How many groups to show in full."""
    num_answers: Annotated[int, Field(ge=0)] = 5000
    """Of how many held-out questions the answers of all models are shown."""


class Recipe(Section):
    """Everything that a run depends on."""

    run_dir: FilePath
    """The folder that the run is written to."""
    name: Annotated[str | None, Field(min_length=1, max_length=100), AfterValidator(_name), HARMLESS] = None
    """What the run is called, in the terminal and on the page, if not by its folder."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Fixes what is random: generated problems, candidates, the order of training."""
    rounds: Count = 1
    """How many times sample, label and align are done, each from the latest model."""
    data: Annotated[FilePath | None, HARMLESS] = None
    """The folder or file of the questions; without it they come from the Hub or are generated."""
    model: ModelSection = ModelSection()
    adapter: AdapterSection = AdapterSection()
    task: TaskSection = TaskSection()
    prompt: PromptSection = PromptSection()
    candidates: ImportSection | None = None
    """Candidates made elsewhere, used instead of sampling."""
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

    @property
    def task_title(self) -> str:
        """What is asked, for headings: the task's name, or that of one's own file."""
        return self.data.stem if self.task.name == "jsonl" and self.data is not None else self.task.title

    def to_yaml(self, *, defaults: bool = True) -> str:
        """All settings, or those that are not the defaults."""
        return to_yaml(self.model_dump(mode="json", exclude_defaults=not defaults))
