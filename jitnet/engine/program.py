"""A step as a program: a table of lines, made once a run, that the loop walks and that people can read.

A line is an operation on a layer, split by something in so many parts. Within a region each part goes from one line to
the next without waiting for the others. A region ends where a part needs what others have made: there they wait for
each other.

    forward     hidden layers, first to last         a part is assigned units
    output      logits and loss                      a part is assigned samples, or does all of them
    backward    the last layer to the second         a part is assigned inputs of the layer, units of the one below:
                                                     their gradient, that of the weights that leave them, the update
    first       the first layer                      a part is assigned units

The first layer's backward needs nothing of other parts but what the second layer's left in the same part, so both are
one region. The first layer's forward for the next batch joins them: its weights are in the core's cache.

With few classes each group of the last hidden layer's units contributes to the logits as soon as it is done, and the
output only adds up. Where zeros are skipped too a step is short; then the output is no separate region but begins
every part's backward, and each part does it for all samples, for itself. A network with one hidden layer has one region
a step.

Where a step is cut in pieces of units and samples (see `ownership`), forward and backward lines need what others have
made in the layer before, and the gradients of all weights are a region behind them:

    forward     hidden layers, first to last         a part is assigned pieces
    output      logits and loss                      a part is assigned samples
    backward    the last layer to the second         a part is assigned pieces of the layer below: their gradient
    gradients   of all weights, and their updates    a part is assigned pieces of weights

Where the update must wait for the whole gradient (clipping, max-norm), it has separate regions behind the backward. The
first layer's forward then follows where the last of them is by units; else it begins the next step.

Training, evaluating and predicting are three programs of the same forward lines. In the first two parts share each
step. In prediction, as in whatever works on samples one by one, parts share the steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from jitnet.compiler.signatures import make_records
from jitnet.config import LAYERS, LOSSES, Layer, ModelConfig, TrainConfig
from jitnet.engine.costs import Cost, Sizes
from jitnet.engine.kind_linear import gradient_lines
from jitnet.engine.kinds import KINDS
from jitnet.engine.layout import Layout
from jitnet.engine.loop_records import LINE, PARTIAL
from jitnet.engine.operations import CODES, OPERATIONS
from jitnet.engine.ownership import (
    SAMPLES_AT_A_TIME,
    SPLITS,
    Parts,
    choose_parts,
    count_pieces,
    marks_together,
    partial_sums,
)
from jitnet.kernels.activation import ACTIVATION_KERNELS
from jitnet.kernels.loss import LINK_KERNELS, LOSS_KERNELS
from jitnet.kernels.optimizer import OPTIMIZER_KERNELS
from jitnet.machine.barrier import BARRIERS
from jitnet.machine.blocks import LANES

__all__ = [
    "Line",
    "Program",
    "Step",
    "Writer",
    "adds_directly",
    "evaluating",
    "on_data",
    "predicting",
    "table_of",
    "training",
    "updates_late",
]


@dataclass(frozen=True)
class Line:
    """One line. region: its number. operation: a name in OPERATIONS. layer: counted from 0. split: a name in SPLITS.
    parts, reason: in how many parts, and why so many. cost: FLOP and bytes of all parts. next_batch: on the next batch.
    unused: kernels that the operation may call, but does not here. extents: of its problem, as batch, inputs, units.
    waits_for: what of other parts its region needs, for which all of them meet ahead of it."""

    region: int
    operation: str
    layer: int
    split: str
    parts: int
    reason: str
    cost: Cost
    next_batch: bool = False
    unused: frozenset[str] = frozenset()
    extents: tuple[int, ...] = ()
    waits_for: str = ""

    @property
    def name(self) -> str:
        """For people: operation and layer, as "forward 1, next batch"; no layer where it works on all of them."""
        layer = "" if OPERATIONS[self.operation].whole_network else f" {self.layer}"
        return f"{self.operation}{layer}{', next batch' * self.next_batch}"

    @property
    def kernels(self) -> tuple[str, ...]:
        """What it calls, by name. Only who prints a program asks: reading it from the code takes milliseconds."""
        return tuple(name for name in OPERATIONS[self.operation].kernels if name not in self.unused)


@dataclass(frozen=True)
class Program:
    """first: the lines before the first step of a call. step: the lines of every step. meeting: how parts meet, a name
    in ownership.MEETINGS."""

    first: tuple[Line, ...]
    step: tuple[Line, ...]
    meeting: str = "region ends"

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.first + self.step

    def table(self) -> Any:
        """The lines as the compiled loop walks them, (lines,) records of LINE."""
        return table_of(self.lines)

    def partials(self, layout: Layout) -> Any:
        """What the parts leave of the logits, (sums,) records of PARTIAL; none where units do not contribute apart."""
        parts = next((line.parts for line in self.lines if line.operation == "partial_logits"), 1)
        if layout.network.in_pieces:  # each part has all groups of its samples
            parts = 1
        sums, _ = partial_sums(int(layout.network.n_partials), parts)
        records = make_records(PARTIAL, len(sums))
        for record, each in zip(records, sums, strict=True):
            record.place, record.joins = each
        return records

    @property
    def regions(self) -> int:
        """The last region's number, 0 where there is nothing to do."""
        return max((line.region for line in self.lines), default=0)

    @property
    def threads(self) -> int:
        """Parts of the region that has the most, 1 where there is nothing to do."""
        return max((line.parts for line in self.lines), default=1)


def table_of(lines: Sequence[Line]) -> Any:
    """Lines as the compiled loop walks them."""
    table = make_records(LINE, len(lines))
    for row, line in zip(table, lines, strict=True):
        row.region, row.operation, row.layer = line.region, CODES[line.operation], line.layer
        row.split, row.parts, row.next_batch = SPLITS[line.split], line.parts, line.next_batch
    return table


class Step(NamedTuple):
    """What a program is made for. batch_size: of a whole batch. threads: at the most. density: share of the inputs that
    are not zero, skips_zeros: whether only those are walked. bytes_per_input: bytes of an input as it is stored.
    columns: share of the inputs that any sample of a batch has. weighted: whether samples have weights."""

    shape: ModelConfig
    config: TrainConfig
    batch_size: int
    threads: int
    density: float
    skips_zeros: bool
    bytes_per_input: int
    columns: float = 1.0
    weighted: bool = False


def updates_late(shape: ModelConfig, config: TrainConfig) -> bool:
    """Whether the update must wait for the whole gradient."""
    limited = config.max_norm > 0.0 and len(shape.hidden) > 0
    return config.clip_norm > 0.0 or limited or any(KINDS[layer.kind].late for layer in shape.layers)


def adds_directly(shape: ModelConfig, config: TrainConfig) -> bool:
    """Whether gradients, scaled by -learning rate, are added straight to the weights: a step of plain SGD."""
    plain = OPTIMIZER_KERNELS[config.optimizer].plain and config.weight_decay == 0.0 and config.one_rate
    return plain and not updates_late(shape, config)


_GATHERED, _BATCH_BEFORE = "the inputs of all samples", "the end of the batch before"


class Writer:
    """Writes lines; knows the step, its layout, and which region is being written.

    meets: whether parts share each step, and so meet. trains: whether units are dropped, and gradients made.
    """

    def __init__(self, step: Step, layout: Layout, *, meets: bool = True, trains: bool = False) -> None:
        self.step, self.layout, self.meets, self._trains = step, layout, meets, trains
        self._frozen = step.config.frozen(step.shape)
        self._blocks = step.shape.blocks
        late = updates_late(step.shape, step.config)
        self._updates = not late and (not adds_directly(step.shape, step.config) or step.config.ema > 0.0)
        self.lines: list[Line] = []
        self._region = 1
        self._parts, self._waits_for = Parts(1, ""), ""

    @property
    def last(self) -> int:
        return len(self.layout.layers) - 1

    @property
    def trains(self) -> bool:
        return self._trains

    @property
    def skips_zeros(self) -> bool:
        return self.step.skips_zeros

    @property
    def output_bias(self) -> bool:
        return self.step.shape.output_bias

    @property
    def marks_together(self) -> bool:
        """Whether columns are marked once for all parts; with the first layer's forward, a meeting ahead of their
        use."""
        step, parts = self.step, self.first_gradient_parts().count
        columns = step.shape.in_features
        entries = step.batch_size * columns * step.density
        together = self.skips_zeros and self.last > 0 and marks_together(entries, columns, step.batch_size, parts)
        return self.trains and together and not self.freezes(0)

    @property
    def in_pieces(self) -> bool:
        """Whether lines are cut by units and samples, of weights by units and inputs."""
        return bool(self.layout.network.in_pieces)

    def region(self, parts: Parts, waits_for: str) -> None:
        """Begin a region of so many parts, which need this of each other: there they meet."""
        self._region = self.lines[-1].region + 1 if self.lines else 1
        self._parts, self._waits_for = parts, waits_for

    def meet(self, waits_for: str) -> None:
        """Begin a region of as many parts."""
        if self.meets:
            self.region(self._parts, waits_for)

    def apart(self, operation: str, layer: int, *, next_batch: bool = False) -> None:
        """A line by samples in a separate region, and behind it a region of as many parts as before."""
        parts = self._parts
        if self.meets:
            self.region(self.sample_parts(operation, layer), f"all units of its samples in layer {layer}")
        self.add(operation, layer, next_batch=next_batch)
        if self.meets:
            self.region(parts, f"all samples of its units in layer {layer}")

    def update(self, operation: str, layer: int, split: str = "") -> None:
        """A line that updates parameters, where that need not wait for the whole gradient and is not done already."""
        if self._updates:
            self.add(operation, layer, split)

    def behind(self, operation: str, layer: int) -> None:
        """A line on a layer's parameters, in a region behind its gradients."""
        self.region(self.parameter_parts(), f"the gradients of all units of layer {layer}")
        self.add(operation, layer)

    def freezes(self, layer: int) -> bool:
        """Whether the parameters of a layer keep their values."""
        return layer in self._frozen

    def needs_gradient(self, layer: int) -> bool:
        """Whether the gradient of a layer's outputs is needed: where it or a layer below is trained."""
        return not self._frozen.issuperset(range(layer + 1))

    def drops(self, layer: int) -> bool:
        """Whether units of a layer are dropped."""
        return self.trains and bool(self.layout.layers[layer].dropout > 0.0)

    def add(self, operation: str, layer: int, split: str = "", *, next_batch: bool = False) -> None:
        """A line in the region at hand. split: another than the operation's."""
        chosen, sizes = OPERATIONS[operation], self._sizes(layer, operation)
        self.lines.append(
            Line(
                self._region,
                operation,
                layer,
                (chosen.pieces if self.in_pieces else "") or split or chosen.split,
                self._parts.count,
                self._parts.reason,
                _cost(operation, sizes),
                next_batch,
                self._unused(layer, operation),
                tuple(int(getattr(sizes, extent)) for extent in chosen.extents),
                self._waits_for,
            )
        )

    def _unused(self, layer: int, operation: str) -> frozenset[str]:
        """Kernels that an operation may call but does not on this layer of this step."""
        shape, config = self.step.shape, self.step.config
        unused = {"gather_floats" if self.step.bytes_per_input == 1 else "gather_bytes"}
        unused |= {"update", "clear"} if adds_directly(shape, config) else set()
        unused |= {"average"} if config.ema == 0.0 else set()
        unused |= {"transpose"} if layer == 0 else set()
        unused |= set() if self.step.weighted else {"weigh_samples"}
        if operation == "activate_back" and self._has_layer_between(layer):
            unused |= {"transpose", "scale_rows"}
        link = LOSSES[shape.loss].link
        unused |= {kernel.function.__name__ for name, kernel in LOSS_KERNELS.items() if name != shape.loss}
        unused |= {kernel.function.__name__ for name, kernel in LINK_KERNELS.items() if name != link}
        return frozenset(unused | ({"limit_norms"} if layer == self.last else set()))

    def _has_layer_between(self, layer: int) -> bool:
        """Whether a block has a layer between its linear one and its activation."""
        row = self.layout.layers[layer]
        return row.preactivation_offset != row.linear_offset

    def _sizes(self, layer: int, operation: str) -> Sizes:
        step, shape = self.step, self.step.shape
        activation, optimizer = ACTIVATION_KERNELS[shape.activation], OPTIMIZER_KERNELS[step.config.optimizer]
        i, o = shape.widths[layer : layer + 2]
        direct = adds_directly(shape, step.config)
        groups = int(self.layout.network.n_partials)
        parts = 1 if self.in_pieces or groups == 0 else self.forward_parts(self.last - 1).count
        sums, places = partial_sums(groups, parts) if groups > 0 else ((), 0)
        return Sizes(
            step.batch_size,
            i,
            o,
            entries=step.batch_size * shape.in_features * step.density,
            columns=shape.in_features * step.columns,
            partials=groups,
            partial_sums=len(sums),
            partial_places=places,
            parameters=self._n_trained,
            activation=activation.forward_flop,
            activation_back=activation.backward_flop,
            transposed=layer > 0,
            update=0 if direct else optimizer.flop,
            update_bytes=0 if direct else optimizer.bytes,
            # With max-norm the weights are averaged as `limit` leaves them.
            average=step.config.ema > 0.0 and not (operation == "update_all" and step.config.max_norm > 0.0),
            limited=layer < self.last,
            between=self._has_layer_between(layer),
            more=sum(each.trained for each in self._blocks[layer] if each.kind != "linear"),
            bytes_per_input=step.bytes_per_input,
            markers=self._markers,
            marked=-(-step.batch_size // LANES) if self.marks_together else 0,
            outputs=shape.out_features,
            loss=LOSS_KERNELS[shape.loss].price,
            link=LINK_KERNELS[LOSSES[shape.loss].link].price,
            targets=shape.n_targets or 0,
            weighted=step.weighted,
        )

    @property
    def _n_trained(self) -> int:
        """Parameters that are not frozen, with those that fill up panels."""
        if not self._frozen:
            return self.layout.params
        layers = self.step.shape.layers
        records = self.layout.parameters
        return sum(int(each.count) for each in records if layers[int(each.layer)].block not in self._frozen)

    # How many parts a region is worth.

    @property
    def _markers(self) -> int:
        """Parts that each need the marks of all columns; in pieces, what these are together of all parts' columns."""
        row = self.layout.layers[0]
        together = self.in_pieces and self.marks_together
        return int(row.padded_features // row.piece) if together else self.first_gradient_parts().count

    def layer_flop(self, layer: int) -> float:
        """Of a layer's product in a step."""
        before, after = self.step.shape.widths[layer : layer + 2]
        dense = 2.0 * self.step.batch_size * before * after
        return dense * self.step.density if layer == 0 and self.step.skips_zeros else dense

    def _units(self, flop: float, layer: int) -> Parts:
        row = self.layout.layers[layer]
        groups = -(-int(row.padded_features) // int(row.group))
        return choose_parts(flop, self.step.threads, groups, f"group{'s' * (groups != 1)} of units{self._why_by_units}")

    @property
    def _why_by_units(self) -> str:
        """Where a layer's kind is why a step is not cut in pieces."""
        kinds = dict.fromkeys(layer.kind for layer in self.step.shape.layers if KINDS[layer.kind].by_units)
        return f", which {' and '.join(kinds)} cannot do in pieces" if kinds and self.trains else ""

    def _pieces(self, flop: float, layer: int) -> Parts:
        """Of a layer's units with samples."""
        pieces = count_pieces(self.layout.layers[layer], self.step.batch_size)
        return self._in_pieces(flop, pieces, "samples")

    def _in_pieces(self, flop: float, pieces: int, across: str) -> Parts:
        parts = choose_parts(flop, self.step.threads, pieces, "pieces")
        return Parts(parts.count, f"{parts.reason}, of units and {across}: groups of units are too few or uneven")

    def forward_parts(self, layer: int) -> Parts:
        if self.in_pieces:
            return self._pieces(self.layer_flop(layer), layer)
        if layer == 0 and self.last > 0:
            return self.first_parts()
        return self._units(self.layer_flop(layer), layer)

    def gather_parts(self) -> Parts:
        return self._moving_parts(_price(_cost("gather", self._sizes(0, "gather"))))

    def output_parts(self, *, gathers: bool = False) -> Parts:
        """gathers: the next batch in the same region."""
        gather = _price(_cost("gather", self._sizes(0, "gather"))) if gathers else 0.0
        flop = self.layer_flop(self.last)
        if self.in_pieces and self.layout.network.n_partials > 0:
            flop = _cost("partial_logits", self._sizes(self.last - 1, "partial_logits")).flop
        return self._moving_parts(flop + gather)

    def _moving_parts(self, work: float) -> Parts:
        """Of work by samples."""
        return choose_parts(work, self.step.threads, self.step.batch_size, f"sample{'s' * (self.step.batch_size != 1)}")

    def backward_parts(self, layer: int) -> Parts:
        if self.in_pieces:
            return self._pieces(self.layer_flop(layer), layer - 1)
        return self._units(2.0 * self.layer_flop(layer), layer - 1)

    def first_parts(self) -> Parts:
        """Of the region in which the first layer's backward and forward are, and the second one's backward."""
        if self.last == 0:
            return self._units(2.0 * self.layer_flop(0), 0)
        return self._units(2.0 * (self.layer_flop(0) + self.layer_flop(1)), 0)

    def gradient_parts(self) -> Parts:
        """Of the region of all gradients of weights, in pieces."""
        flop = sum(self.layer_flop(layer) for layer in range(self.last + 1))
        return self._in_pieces(flop, max(map(count_pieces, self.layout.layers)), "inputs")

    def first_gradient_parts(self) -> Parts:
        """Of the region in which the first layer's weights get their gradient."""
        return self.gradient_parts() if self.in_pieces else self.first_parts()

    def sample_parts(self, operation: str, layer: int) -> Parts:
        """Of an operation by samples between regions by units."""
        vectors = -(-self.step.batch_size // LANES)
        flop = _cost(operation, self._sizes(layer, operation)).flop
        return choose_parts(flop, self.step.threads, vectors, f"vector{'s' * (vectors != 1)} of samples")

    def parameter_parts(self) -> Parts:
        flop = 10.0 * self.layout.params
        return choose_parts(flop, self.step.threads, self.step.threads, "")

    # Pieces of a step.

    def inputs_of(self, layer: int) -> str:
        """What a region waits for that goes forward through a layer."""
        return f"all units of layer {layer - 1}" if layer > 0 else "the updates of all units' weights"

    @property
    def all_logits(self) -> str:
        """What the region of the output waits for."""
        apart = self.layout.network.n_partials > 0 and not self.in_pieces
        return "what all units contribute to the logits" if apart else self.inputs_of(self.last)

    def gradient_of(self, layer: int) -> str:
        """What a region waits for that goes back through a layer."""
        if layer < self.last:
            return f"the gradients of all units of layer {layer}"
        return self.all_logits if self.fused else "the losses of all samples"

    @property
    def all_gradients(self) -> str:
        """What the gradients of all weights wait for, in pieces."""
        return "the gradients of all units and samples" if self.last > 0 else self.gradient_of(0)

    @property
    def fused(self) -> bool:
        """Whether the output is done by every part for itself, at the start of the backward."""
        return self.layout.fused

    def forward_lines(self, block: int, *, next_batch: bool = False) -> None:
        """All of a hidden block's layers, first to last."""
        for layer in self._placed(block):
            KINDS[layer.kind].forward(self, block, next_batch)
        if block == self.last - 1 and not self.in_pieces:
            self._partial_lines(next_batch=next_batch)

    def _partial_lines(self, *, next_batch: bool = False) -> None:
        """What the last hidden layer's units contribute to the logits, with few classes."""
        if self.layout.network.n_partials > 0:
            self.add("partial_logits", self.last - 1, next_batch=next_batch)

    def _placed(self, block: int) -> list[Layer]:
        """The layers of a block that this program has: in prediction the saved weights have some of them inside."""
        return [layer for layer in self._blocks[block] if self.meets or not LAYERS[layer.kind].folded]

    def output_lines(self, split: str = "") -> None:
        sparse = self.last == 0 and self.step.skips_zeros
        for layer in self._placed(self.last):
            KINDS[layer.kind].forward(self, self.last, False)
        if self.in_pieces:
            self._partial_lines()
        if self.layout.network.n_partials > 0:
            self.add("add_partials", self.last, split)
        else:
            self.add("logits_sparse" if sparse else "logits", self.last, split)
        self.add("loss", self.last, split)

    def backward_lines(self, block: int) -> None:
        """The linear layer's; its shares of its input's gradient; then layers that need these, from the last to the
        first: those ahead of it, and of the block below those behind the linear one."""
        if not self.needs_gradient(block):
            return
        KINDS["linear"].backward(self, block)
        ahead, _ = self._around_linear(block)
        behind: list[Layer] = []
        if block > 0 and self.needs_gradient(block - 1):
            for layer in self._blocks[block]:
                KINDS[layer.kind].joins(self, block)
            _, behind = self._around_linear(block - 1)
        for layer in reversed([*behind, *ahead]):
            KINDS[layer.kind].backward(self, layer.block)

    def _around_linear(self, block: int) -> tuple[list[Layer], list[Layer]]:
        """A block's layers ahead of its linear one, and behind it."""
        layers = list(self._blocks[block])
        place = [layer.kind for layer in layers].index("linear")
        return layers[:place], layers[place + 1 :]

    @property
    def _trained_layers(self) -> list[int]:
        return [layer for layer in range(self.last + 1) if not self.freezes(layer)]

    def late_lines(self) -> None:
        config = self.step.config
        if config.clip_norm > 0.0:
            self.region(self.parameter_parts(), "the gradients of all parameters")
            for layer in self._trained_layers:
                self.add("norm", layer)
        whole = "the whole gradient's norm" if config.clip_norm > 0.0 else "the gradients of all parameters"
        self.region(self.parameter_parts(), whole)
        self.add("update_all", 0)
        if config.max_norm > 0.0:
            self.region(self.first_parts(), "the updates of whole units")
            # The last layer's norms are not limited: it has a line for its average alone.
            for layer in self._trained_layers:
                if layer < self.last or config.ema > 0.0:
                    self.add("limit", layer, "units")


def training(step: Step, layout: Layout) -> Program:
    """The program of a training step."""
    writer = Writer(step, layout, trains=True)
    last, late = writer.last, updates_late(step.shape, step.config)
    dense = not step.skips_zeros
    if step.shape.input_scale and writer.freezes(0):
        writer.region(writer.parameter_parts(), "")
        writer.add("fold_scale", 0)
    if dense:
        writer.region(writer.gather_parts(), "")
        writer.add("gather", 0)
    # The first layer's forward is part of the step before, where that leaves each part its own units' weights.
    joined = last > 0 and (not late or step.config.max_norm > 0.0)
    if joined:
        writer.region(writer.forward_parts(0), _GATHERED if dense else "")
        writer.forward_lines(0)
    first = tuple(writer.lines)
    for layer in range(1 if joined else 0, last):
        writer.region(writer.forward_parts(layer), writer.inputs_of(layer))
        writer.forward_lines(layer)
    if not writer.fused:
        writer.region(writer.output_parts(gathers=dense), writer.all_logits)
        writer.output_lines()
        if dense:
            writer.add("gather", 0, next_batch=True)
    for layer in range(last, 1, -1):
        writer.region(writer.backward_parts(layer), writer.gradient_of(layer))
        if writer.fused and layer == last:
            writer.output_lines("every part")
        writer.backward_lines(layer)
    if writer.in_pieces:
        if last > 0:
            writer.region(writer.backward_parts(1), writer.gradient_of(1))
            writer.backward_lines(1)
        writer.region(writer.gradient_parts(), writer.all_gradients)
        for layer in range(last, -1, -1):
            gradient_lines(writer, layer)
    else:
        trained = writer.needs_gradient(min(1, last))
        writer.region(writer.first_parts(), writer.gradient_of(min(1, last)) if trained else _BATCH_BEFORE)
        if last > 0:
            if writer.fused and last == 1:
                writer.output_lines("every part")
            writer.backward_lines(1)
        writer.backward_lines(0)
    if late:
        writer.late_lines()
    if joined:
        if writer.in_pieces:
            writer.region(writer.forward_parts(0), writer.inputs_of(0))
        writer.forward_lines(0, next_batch=True)
    step_lines = tuple(writer.lines[len(first) :])
    # Where the last region makes the losses, no part sees all of them ahead of its end.
    losses_last = any(line.operation == "loss" and line.region == step_lines[-1].region for line in step_lines)
    at_barriers = BARRIERS and (writer.fused or not losses_last)
    return Program(first, step_lines, "barriers" if at_barriers else "region ends")


def evaluating(step: Step, layout: Layout) -> Program:
    """The program that evaluates: forward and loss, without dropout, batch after batch."""
    writer = Writer(step, layout)
    dense = not step.skips_zeros
    if writer.last == 0:  # a part gathers its samples itself
        writer.region(writer.output_parts(gathers=dense), _BATCH_BEFORE)
        if dense:
            writer.add("gather", 0, "vectors of samples")
    elif dense:
        writer.region(writer.gather_parts(), _BATCH_BEFORE)
        writer.add("gather", 0)
    for layer in range(writer.last):
        first = _GATHERED if dense else _BATCH_BEFORE
        writer.region(writer.forward_parts(layer), first if layer == 0 else writer.inputs_of(layer))
        writer.forward_lines(layer)
    if writer.last > 0:
        parts = Parts(1, "each part would do all") if writer.fused else writer.output_parts()
        writer.region(parts, writer.all_logits)
    writer.output_lines()
    return Program((), tuple(writer.lines))


def predicting(step: Step, layout: Layout, n_samples: int) -> Program:
    """The program that predicts n_samples: forward and link, in steps of batch_size. Each part does all of a step, and
    takes the next that is free."""
    writer = Writer(step, layout, meets=False)
    n_steps = -(-n_samples // step.batch_size)
    flop = n_steps * sum(writer.layer_flop(layer) for layer in range(writer.last + 1))
    writer.region(choose_parts(flop, step.threads, max(1, n_steps), f"batch{'es' * (n_steps != 1)}"), "")
    if not step.skips_zeros:
        writer.add("gather", 0)
    elif step.bytes_per_input == 1:  # else the lists are what is stored
        writer.add("list_inputs", 0)
    for layer in range(writer.last):
        writer.forward_lines(layer)
    writer.add("logits_sparse" if writer.last == 0 and step.skips_zeros else "logits", writer.last)
    writer.add("link", writer.last)
    return Program((), tuple(writer.lines), "never")


def on_data(operations: Sequence[str], sizes: Sizes, threads: int) -> Program:
    """A program on the data set: list its entries, make an epoch's samples; in steps of SAMPLES_AT_A_TIME, as
    `predicting` shares them. sizes, and costs: of all samples."""
    costs = [_cost(name, sizes) for name in operations]
    parts = choose_parts(
        sum(map(_price, costs)), threads, max(1, -(-int(sizes.n) // SAMPLES_AT_A_TIME)), "lots of samples"
    )
    lines = (
        Line(1, name, 0, OPERATIONS[name].split, parts.count, parts.reason, cost)
        for name, cost in zip(operations, costs, strict=True)
    )
    return Program((), tuple(lines), "never")


def _price(cost: Cost) -> float:
    """Of work that moves numbers more than it computes, in FLOP: a byte moved is worth about ten multiply-adds."""
    return cost.flop + 10.0 * cost.bytes


def _cost(operation: str, sizes: Sizes) -> Cost:
    return Cost(*(float(number) for number in OPERATIONS[operation].cost(sizes)))
