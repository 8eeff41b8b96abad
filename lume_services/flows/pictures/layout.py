"""Where the boxes and arrows of a graph go: in layers from left to right, with few crossings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lume_services.flows.plan import Edge, Plan

# All lengths are in SVG pixels.
LETTER = 7.4
SMALL_LETTER = 6.4
LONGEST_TEXT = 44
HEAD = 10.0
MARGIN = 24.0
BOX_HEIGHT = 42.0
PORT_HEIGHT = 19.0
ROW_GAP = 18.0
LANE_HEIGHT = 10.0
CURVE_ROOM = 48.0
SWEEPS = 12


@dataclass
class Node:
    """A box, or the place where an arrow passes through a layer.

    Attributes:
        layer: Its layer, counted from the left.
        width: Its width.
        height: Its height.
        x: The left of it.
        y: The middle of it.
        before: The nodes that arrows come from.
        after: The nodes that arrows go to.
    """

    layer: int
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    before: list[Node] = field(default_factory=list, repr=False)
    after: list[Node] = field(default_factory=list, repr=False)


@dataclass(frozen=True)
class Wire:
    """An arrow: the points that it passes, from the parent's right side to the child's left side."""

    edge: Edge
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Layout:
    """A laid out graph.

    Attributes:
        width: The width of the picture.
        height: The height of the picture.
        boxes: The box of every step.
        wires: The arrows.
    """

    width: float
    height: float
    boxes: Mapping[str, Node]
    wires: Sequence[Wire]


def lay_out(plan: Plan, labels: Mapping[str, Sequence[str]]) -> Layout:
    """Give every box and arrow of a graph its place.

    Args:
        plan: The graph.
        labels: The lines of text in the box of every step.
    """
    boxes = {
        step: _box(plan, step, layer, labels[step])
        for layer, generation in enumerate(plan.generations)
        for step in generation
    }
    lanes = {
        (edge.parent, edge.child): _connect(boxes[edge.parent], boxes[edge.child]) for edge in plan.edges
    }
    nodes = [*boxes.values(), *(node for lane in lanes.values() for node in lane)]
    layers = [[node for node in nodes if node.layer == layer] for layer in range(len(plan.generations))]
    _order(layers)
    _place_columns(layers, plan)
    _place_rows(layers)
    top = min(node.y - node.height / 2 for node in nodes)
    for node in nodes:
        node.y += MARGIN - top
    width = max(node.x + node.width for node in nodes) + MARGIN
    height = max(node.y + node.height / 2 for node in nodes) + MARGIN
    return Layout(width, height, boxes, _wires(plan, boxes, lanes))


def _box(plan: Plan, step: str, layer: int, lines: Sequence[str]) -> Node:
    width = max(len(line) for line in lines) * LETTER + 28
    return Node(layer, width, max(BOX_HEIGHT, len(plan.into(step)) * PORT_HEIGHT + 6))


def _connect(parent: Node, child: Node) -> list[Node]:
    """Lead a connection through the layers between; the nodes there keep a lane free for it."""
    lane = [Node(layer, 0, LANE_HEIGHT) for layer in range(parent.layer + 1, child.layer)]
    chain = [parent, *lane, child]
    for left, right in pairwise(chain):
        if right not in left.after:
            left.after.append(right)
            right.before.append(left)
    return lane


def _order(layers: list[list[Node]]) -> None:
    """Sort every layer by the mean place of the neighbours, to and fro, and keep the best."""
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for layer in layers if forth else reversed(layers):
            ranks = {id(node): rank for nodes in layers for rank, node in enumerate(nodes)}
            layer.sort(key=lambda node: _mean_rank(node.before if forth else node.after, node, ranks))
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _mean_rank(neighbours: Sequence[Node], node: Node, ranks: Mapping[int, int]) -> float:
    places = [ranks[id(neighbour)] for neighbour in neighbours or [node]]
    return sum(places) / len(places)


def _crossings(layers: Sequence[Sequence[Node]]) -> int:
    count = 0
    for left, right in pairwise(layers):
        ranks = {id(node): rank for rank, node in enumerate(right)}
        lines = [(rank, ranks[id(node)]) for rank, start in enumerate(left) for node in start.after]
        count += sum(a < c and b > d for a, b in lines for c, d in lines)
    return count


def _place_columns(layers: Sequence[Sequence[Node]], plan: Plan) -> None:
    x = MARGIN
    for layer, generation in zip(layers, plan.generations, strict=True):
        labels = [_label_width(edge) for step in generation for edge in plan.into(step)]
        x += max(labels) + CURVE_ROOM if labels else 0
        width = max(node.width for node in layer)
        for node in layer:
            node.x = x
            node.width = node.width or width
        x += width


def _label_width(edge: Edge) -> float:
    return min(len(edge.parameter), LONGEST_TEXT) * SMALL_LETTER + HEAD


def _place_rows(layers: Sequence[Sequence[Node]]) -> None:
    """Stack every layer, then move its nodes towards the middle of their neighbours."""
    for layer in layers:
        _stack(layer, [0.0] * len(layer))
    for sweep in range(SWEEPS):
        forth = sweep % 2 == 0
        for layer in layers if forth else reversed(layers):
            wanted = [_mean_y((node.before if forth else node.after) or [node]) for node in layer]
            _stack(layer, wanted)


def _mean_y(nodes: Sequence[Node]) -> float:
    return sum(node.y for node in nodes) / len(nodes)


def _stack(layer: Sequence[Node], wanted: Sequence[float]) -> None:
    """Put the nodes as near to the wanted places as their order and sizes allow."""
    offsets, offset = [], 0.0
    for above, node in zip([None, *layer], layer, strict=False):
        offset += (above.height + node.height) / 2 + ROW_GAP if above else 0.0
        offsets.append(offset)
    # Without the room that each node takes, this asks for the nearest ascending sequence: pool what descends.
    pools: list[list[float]] = []
    for place, room in zip(wanted, offsets, strict=True):
        pools.append([place - room])
        while len(pools) > 1 and sum(pools[-2]) / len(pools[-2]) > sum(pools[-1]) / len(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    levels = [sum(pool) / len(pool) for pool in pools for _ in pool]
    for node, level, room in zip(layer, levels, offsets, strict=True):
        node.y = level + room


def _wires(
    plan: Plan, boxes: Mapping[str, Node], lanes: Mapping[tuple[str, str], Sequence[Node]]
) -> list[Wire]:
    wires = []
    for step, box in boxes.items():
        edges = sorted(plan.into(step), key=lambda edge: _last_before(edge, boxes, lanes).y)
        for number, edge in enumerate(edges):
            parent, lane = boxes[edge.parent], lanes[edge.parent, edge.child]
            port = box.y + (number - (len(edges) - 1) / 2) * PORT_HEIGHT
            through = [point for node in lane for point in ((node.x, node.y), (node.x + node.width, node.y))]
            # Below its label, an arrow is straight.
            straight = [(box.x - _label_width(edge), port), (box.x, port)]
            wires.append(Wire(edge, [(parent.x + parent.width, parent.y), *through, *straight]))
    return wires


def _last_before(
    edge: Edge, boxes: Mapping[str, Node], lanes: Mapping[tuple[str, str], Sequence[Node]]
) -> Node:
    return [boxes[edge.parent], *lanes[edge.parent, edge.child]][-1]
