"""The style of a function's page: for light and dark screens, in grey and on paper."""

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --faint: #59636e; --paper: #ffffff; --panel: #f6f8fa;
  --edge: #d1d9e0; --heat: #ffb077; --mark: #0550ae; --good: #116329; --wrong: #a40e26; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --faint: #9198a1; --paper: #0d1117; --panel: #161b22;
  --edge: #3d444d; --heat: #9a4a12; --mark: #79c0ff; --good: #7ee787; --wrong: #ff9492; } }
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
h1, code, pre, .source, .mono { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.faint, figcaption, caption { color: var(--faint); } caption { text-align: left; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .8rem 0; }
dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
a { color: var(--mark); } .scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .15rem .8rem .15rem 0; text-align: right; white-space: nowrap; }
th { color: var(--faint); font-weight: normal; border-bottom: 1px solid var(--edge); }
.text { text-align: left; } .wide { white-space: normal; }
.bar { background: linear-gradient(var(--heat), var(--heat)) no-repeat left / var(--share, 0%) 100%; min-width: 7rem; }
.source { border: 1px solid var(--edge); background: var(--panel); overflow-x: auto; font-size: 13px;
  line-height: 1.45; padding: .4rem 0; }
.source .row { display: grid; grid-template-columns: 5rem 3.5rem 1fr; white-space: pre; }
.source .row > span { padding-right: .6rem; } .source .share { text-align: right;
  background: linear-gradient(var(--heat), var(--heat)) no-repeat left / var(--share, 0%) 100%; }
.source .number { text-align: right; color: var(--faint); }
.source summary { list-style: none; cursor: pointer; } .source summary::-webkit-details-marker { display: none; }
.source summary .number::before { content: "▸ "; } .source details[open] summary .number::before { content: "▾ "; }
.below { margin-left: 8.5rem; white-space: pre-wrap; font-family: system-ui, sans-serif; }
.verdict { color: var(--mark); } .verdict.scalar { color: var(--faint); }
.assembly { margin: .2rem 0 .5rem 8.5rem; padding-left: .8rem; border-left: 3px solid var(--edge); }
.assembly pre { margin: 0; }
.hint { border-left: 3px solid var(--mark); padding: .2rem .8rem; margin: .2rem 1rem .4rem 8.5rem;
  background: var(--paper); font: 14px/1.45 system-ui, sans-serif; white-space: normal; }
.hint b { color: var(--mark); } .gain { color: var(--good); font-weight: bold; }
.hint.wrong { border-color: var(--wrong); } b.wrong, .hint.wrong b { color: var(--wrong); }
.warning { border: 2px solid var(--wrong); padding: .5rem 1rem; margin: 1rem 0; }
pre.diff { overflow-x: auto; margin: .4rem 0; font-size: 12.5px; }
pre.diff ins { text-decoration: none; color: var(--good); font-weight: bold; }
pre.diff del { text-decoration: none; color: var(--wrong); }
figure { margin: 0; } svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: var(--ink); } svg .faint { fill: var(--faint); }
svg .grid { stroke: var(--edge); stroke-width: 1; } svg .roof { stroke: var(--mark); stroke-width: 2; fill: none; }
svg .ceiling { stroke: var(--mark); stroke-width: 1.3; stroke-dasharray: 6 4; }
svg .name { fill: var(--mark); paint-order: stroke; stroke: var(--paper); stroke-width: 3; }
svg .point { fill: var(--ink); stroke: var(--paper); stroke-width: 1.5; }
svg .letter { font-weight: bold; font-size: 13px; }
@media print { body { margin: 0; max-width: none; } details > *:not(summary) { display: none; } }
"""
