"""The report page's style sheet: light and dark, wide and narrow."""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfaf7; --card: #ffffff; --ink: #1d1f24; --soft: #5b606b; --line: #dedbd3; --accent: #9a5b00;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #00805c; --series-3: #a8467c; --series-4: #7a6a00;
  --series-5: #4a4f5a;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14151a; --card: #1d1f26; --ink: #e9e7e2; --soft: #a3a7b2; --line: #343741; --accent: #f0b44c;
    --series-0: #56b4e9; --series-1: #ff8a3d; --series-2: #2fc79a; --series-3: #e08cbb; --series-4: #e8dc5a;
    --series-5: #b9bec9;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 0.25rem; }
h3 { font-size: 0.95rem; margin: 0 0 0.5rem; }
p { margin: 0.25rem 0 0.75rem; max-width: 46rem; }
.soft, figcaption { color: var(--soft); }
.scores {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 15rem), 1fr)); gap: 0.75rem;
  padding: 0;
}
.scores > div {
  background: var(--card); border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.75rem 1rem;
}
.scores dt { font-weight: 600; }
.scores dd { margin: 0; }
.scores .value { font-size: 2rem; line-height: 1.25; color: var(--accent); font-variant-numeric: tabular-nums; }
.scores .meaning { font-size: 0.9rem; color: var(--soft); }
table { border-collapse: collapse; width: 100%; max-width: 46rem; }
th, td {
  text-align: left; vertical-align: top; padding: 0.35rem 0.75rem 0.35rem 0;
  border-bottom: 1px solid var(--line);
}
th { font-weight: 400; color: var(--soft); width: 30%; }
td { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
.legend {
  display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; padding: 0; margin: 0 0 0.75rem; list-style: none;
  font-size: 0.9rem;
}
.legend span {
  display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em; border: 1px solid var(--line);
}
.pictures {
  display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); gap: 0.75rem;
  align-items: end;
}
figure { margin: 0; min-width: 0; }
figcaption { font-size: 0.85rem; line-height: 1.3; margin-bottom: 0.25rem; }
figure img {
  display: block; width: 100%; border-radius: 0.25rem; background: #000; image-rendering: pixelated;
  cursor: zoom-in;
}
.large img { image-rendering: auto; }
figure input { position: absolute; opacity: 0; }
figure input:focus-visible + img { outline: 2px solid var(--accent); }
figure input:checked + img {
  position: fixed; inset: 0; z-index: 1; width: 100vw; height: 100vh; height: 100dvh; object-fit: contain;
  border-radius: 0; cursor: zoom-out;
}
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); gap: 0.75rem; }
.charts > div {
  background: var(--card); border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.75rem;
  min-width: 0;
}
.charts svg { display: block; width: 100%; height: auto; }
pre {
  background: var(--card); border: 1px solid var(--line); border-radius: 0.5rem; padding: 0.75rem; font-size: 0.85rem;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
@media (max-width: 36rem) {
  .pictures { gap: 0.25rem; }
  .pictures.large { grid-template-columns: minmax(0, 1fr); gap: 0.75rem; }
  figcaption { font-size: 0.75rem; }
}
"""
