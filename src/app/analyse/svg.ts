/** Owns the writing of plots as SVG: a document with a title and a description for those who do not see it, axes, and colours. */

export const plotColours = {
  left: '#D55E00',
  right: '#0072B2',
  middle: '#595959',
  band: '#dcdcdc',
  grid: '#e6e6e6',
  ink: '#1a1a1a',
} as const;

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, '\ufffd')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

export function svgDocument(
  {
    width,
    height,
    title,
    description,
  }: { width: number; height: number; title: string; description: string },
  body: readonly string[],
): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title description" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="${FONT}" font-size="12" fill="${plotColours.ink}">
<title id="title">${escapeXml(title)}</title>
<desc id="description">${escapeXml(description)}</desc>
<rect width="${width}" height="${height}" fill="#ffffff"/>
${body.join('\n')}
</svg>
`;
}

export function svgText(
  text: string,
  {
    x,
    y,
    anchor = 'start',
    size = 12,
    weight = 400,
    fill = plotColours.ink,
  }: {
    x: number;
    y: number;
    anchor?: 'start' | 'middle' | 'end';
    size?: number;
    weight?: number;
    fill?: string;
  },
): string {
  return `<text x="${place(x)}" y="${place(y)}" text-anchor="${anchor}" font-size="${size}" font-weight="${weight}" fill="${fill}">${escapeXml(text)}</text>`;
}

/** A line through the points; a hole where a value is not finite. */
export function svgLine(
  points: Iterable<readonly [x: number, y: number]>,
  {
    stroke,
    width = 1.5,
    dash = '',
    opacity = 1,
  }: { stroke: string; width?: number; dash?: string; opacity?: number },
): string {
  let path = '';
  let isOpen = false;
  for (const [x, y] of points) {
    if (Number.isFinite(y)) path += `${isOpen ? 'L' : 'M'}${place(x)} ${place(y)}`;
    isOpen = Number.isFinite(y);
  }
  const dashes = dash === '' ? '' : ` stroke-dasharray="${dash}"`;
  return `<path d="${path}" fill="none" stroke="${stroke}" stroke-width="${width}" stroke-linejoin="round"${dashes}${opacity === 1 ? '' : ` stroke-opacity="${opacity}"`}/>`;
}

/** The area between two lines over the same x. */
export function svgBand(
  low: readonly (readonly [number, number])[],
  high: readonly (readonly [number, number])[],
  fill: string,
): string {
  const points = [...low, ...high.toReversed()].map(([x, y]) => `${place(x)},${place(y)}`);
  return `<polygon points="${points.join(' ')}" fill="${fill}"/>`;
}

/** About `count` round values that cover [low, high]. Of a range that is narrower than its numbers are exact, two around it. */
export function roundTicks(low: number, high: number, count: number): number[] {
  const exact = Math.max(1e-9, 1e-9 * Math.max(Math.abs(low), Math.abs(high)));
  const rough = (high - low) / Math.max(1, count);
  if (!(rough >= exact)) return [low - 1e3 * exact, high + 1e3 * exact];
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? 10 * power;
  const ticks: number[] = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++)
    ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}

export interface PlotArea {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export interface PlotScale {
  x(value: number): number;
  y(value: number): number;
}

export function plotScale(
  area: PlotArea,
  { x, y }: { x: readonly [number, number]; y: readonly [number, number] },
): PlotScale {
  return {
    x: (value) => area.left + ((value - x[0]) / (x[1] - x[0])) * area.width,
    y: (value) => area.top + area.height - ((value - y[0]) / (y[1] - y[0])) * area.height,
  };
}

/** Grid lines with their values at the left and below. */
export function svgAxes(
  area: PlotArea,
  scale: PlotScale,
  {
    xTicks,
    yTicks,
    xLabel,
    yLabel,
  }: {
    xTicks: readonly number[];
    yTicks: readonly number[];
    xLabel: string;
    yLabel: string;
  },
): string[] {
  const bottom = area.top + area.height;
  const rule = (x1: number, y1: number, x2: number, y2: number): string =>
    `<line x1="${place(x1)}" y1="${place(y1)}" x2="${place(x2)}" y2="${place(y2)}" stroke="${plotColours.grid}"/>`;
  return [
    ...yTicks.flatMap((value) => [
      rule(area.left, scale.y(value), area.left + area.width, scale.y(value)),
      svgText(String(value), { x: area.left - 6, y: scale.y(value) + 4, anchor: 'end', size: 11 }),
    ]),
    ...xTicks.flatMap((value) => [
      rule(scale.x(value), area.top, scale.x(value), bottom),
      svgText(String(value), { x: scale.x(value), y: bottom + 15, anchor: 'middle', size: 11 }),
    ]),
    svgText(xLabel, { x: area.left + area.width / 2, y: bottom + 31, anchor: 'middle', size: 11 }),
    svgText(yLabel, { x: area.left, y: area.top - 8, size: 11 }),
  ];
}

function place(value: number): string {
  return String(Math.round(value * 100) / 100);
}
