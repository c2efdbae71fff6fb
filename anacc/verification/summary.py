"""What was proven, as text for people and as JSON data."""

from __future__ import annotations

from typing import Any

from anacc.verification.faults import Findings


def as_data(findings: Findings) -> dict[str, Any]:
    """Faults, their numbers by kind, figures, and what was not proven, as JSON data."""
    return {
        "faults": [{"kind": fault.kind, "message": fault.message} for fault in findings.faults],
        "counts": findings.counts,
        "figures": findings.figures,
        "unproven": findings.unproven,
    }


def as_lines(findings: Findings) -> list[str]:
    """What was proven, one line for each property, and what was not."""
    figures = findings.figures
    crossbars, links = figures["crossbars"], figures["links"]
    units, progress = figures["units"], figures["progress"]
    share = crossbars["cells"] / max(1, crossbars["cells_of_used"])
    lines = [
        f"coverage: {figures['coverage']['tiles']} tiles hold each cell of the matrices of "
        f"{figures['coverage']['layers']} layers once"
    ]
    if "multiply_adds" in figures and "flow" in figures:
        products, flow = figures["multiply_adds"], figures["flow"]
        lines.append(
            f"multiply-adds: {products['program']:,} per sample on crossbars; the model states "
            f"{products['model']:,} for the {products['nodes']} nodes that were compared"
        )
        lines.append(
            f"data flow: {flow['elements_compared']:,} elements of {flow['tensors_compared']} "
            "tensors are made of what the model says, all positions and channels"
        )
    if "weights" in figures:
        weights, scales = figures["weights"], figures.get("scales", {"tiles": 0, "layers": 0})
        lines.append(
            f"weights: {weights['codes']:,} codes of {weights['blocks']} blocks are the model's to "
            "half a code"
        )
        lines.append(
            f"scales: the LDPUs of {scales['tiles']} tiles count columns as the model does, of "
            f"{scales['layers']} layers in absolute terms"
        )
    if "offsets" in figures:
        offsets = figures["offsets"]
        lines.append(
            f"offsets: those of {offsets['layers']} layers are the model's and stated corrections "
            f"of at most {offsets['largest_correction']:.3g} codes of a result"
        )
    lines += [
        f"crossbars: {crossbars['cells']:,} cells of {crossbars['used']} crossbars in use "
        f"({share:.1%}), none twice",
        f"units: at most {units['most_hidden_units']} of {units['hidden_units']} hidden units at "
        f"a time on a GDPU, {units['buffer_elements']:,} buffer elements on bridges",
        f"links: {links['used']} of {links['of']} in use, the busiest for "
        f"{links['busiest_ns']:,.0f} ns per sample; the slowest stage takes "
        f"{links['slowest_stage_ns']:,.0f} ns ({links['slowest_stage']})",
        f"order: {figures['register_reads']:,} register reads and "
        f"{figures['buffer_accesses']:,} buffer accesses follow what they read",
        f"progress: no circle of waits over {progress['channels']} channels, of which "
        f"{progress['full_channels_block']} can fill up; {progress['components_executed']} groups "
        f"of streams executed in {progress['steps']:,} steps",
    ]
    return lines + [f"not proven: {sentence}" for sentence in findings.unproven]
