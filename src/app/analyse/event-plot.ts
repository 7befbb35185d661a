/**
 * Owns the plot of what was recognised on the signal: one lane a sensor with the signal that shows steps best, contacts as
 * ticks in the colour of their side, turns as grey spans. Long recordings are cut to the span that was asked for.
 */

import type { Contact, Turn } from '#motion/results.ts';
import {
  plotColours,
  plotScale,
  roundTicks,
  svgAxes,
  svgDocument,
  svgLine,
  svgText,
} from '#app/analyse/svg.ts';

export interface SignalLane {
  readonly name: string;
  readonly side: 'left' | 'right' | null;
  readonly unit: string;
  readonly timesUs: Float64Array;
  readonly values: Float64Array;
}

const WIDTH = 1_100;
const LANE_HEIGHT = 150;
const LANE_GAP = 60;
/** More points than pixels draw the same picture. */
const POINTS = 4_000;

export function eventPlot(
  lanes: readonly SignalLane[],
  found: {
    readonly contacts: readonly Contact[];
    readonly turns: readonly Turn[];
    readonly fromUs: number;
    readonly toUs: number;
    readonly title: string;
  },
): string {
  const { contacts, turns, fromUs, toUs, title } = found;
  const spanS = (toUs - fromUs) / 1e6;
  const body = [svgText(title, { x: 60, y: 22, size: 15, weight: 600 })];
  for (const [i, lane] of lanes.entries()) {
    const area = { left: 60, top: 60 + i * (LANE_HEIGHT + LANE_GAP), width: WIDTH - 80, height: LANE_HEIGHT };
    const points = thinned(lane, fromUs, toUs);
    const values = points.map(([, value]) => value).filter(Number.isFinite);
    if (values.length === 0) continue;
    const yTicks = roundTicks(Math.min(...values), Math.max(...values), 4);
    const scale = plotScale(area, {
      x: [0, spanS],
      y: [Math.min(...values, yTicks[0]!), Math.max(...values, yTicks.at(-1)!)],
    });
    for (const turn of turns)
      if (turn.endUs > fromUs && turn.startUs < toUs) {
        const x = scale.x(Math.max(0, (turn.startUs - fromUs) / 1e6));
        const end = scale.x(Math.min(spanS, (turn.endUs - fromUs) / 1e6));
        body.push(
          `<rect x="${x.toFixed(1)}" y="${area.top}" width="${(end - x).toFixed(1)}" height="${area.height}" fill="#f0f0f0"/>`,
        );
      }
    body.push(
      ...svgAxes(area, scale, {
        xTicks: roundTicks(0, spanS, 10),
        yTicks,
        xLabel: 'seconds',
        yLabel: `${lane.name}, ${lane.unit}`,
      }),
      svgLine(
        points.map(([timeUs, value]) => [scale.x((timeUs - fromUs) / 1e6), scale.y(value)]),
        { stroke: plotColours.middle, width: 0.9 },
      ),
    );
    for (const contact of contacts) {
      if (contact.timeUs < fromUs || contact.timeUs >= toUs) continue;
      if (lane.side !== null && contact.side !== lane.side) continue;
      const x = scale.x((contact.timeUs - fromUs) / 1e6).toFixed(1);
      const isInitial = contact.kind === 'initial';
      body.push(
        `<line x1="${x}" x2="${x}" y1="${area.top}" y2="${area.top + area.height}" stroke="${plotColours[contact.side]}" stroke-width="1.2"${isInitial ? '' : ' stroke-dasharray="3 3"'}><title>${contact.side} ${contact.kind} contact</title></line>`,
      );
    }
  }
  const initial = contacts.filter(({ kind }) => kind === 'initial').length;
  body.push(
    svgText('solid: initial contact, dashed: final contact; left vermilion, right blue; grey: turn', {
      x: 60,
      y: 40,
      size: 11,
    }),
  );
  return svgDocument(
    {
      width: WIDTH,
      height: 50 + lanes.length * (LANE_HEIGHT + LANE_GAP),
      title,
      description: `${initial} initial and ${contacts.length - initial} final contacts on ${lanes.map(({ name }) => name).join(', ')}.`,
    },
    body,
  );
}

/** Least and largest of each bucket, so that no peak is lost. */
function thinned(lane: SignalLane, fromUs: number, toUs: number): [timeUs: number, value: number][] {
  const { timesUs, values } = lane;
  const from = timesUs.findIndex((timeUs) => timeUs >= fromUs);
  if (from === -1) return [];
  let to = timesUs.length;
  while (to > from && timesUs[to - 1]! >= toUs) to--;
  const bucket = Math.max(1, Math.ceil((2 * (to - from)) / POINTS));
  const points: [number, number][] = [];
  for (let at = from; at < to; at += bucket) {
    let least = at;
    let largest = at;
    for (let i = at; i < Math.min(to, at + bucket); i++) {
      if (values[i]! < values[least]!) least = i;
      if (values[i]! > values[largest]!) largest = i;
    }
    for (const i of least < largest ? [least, largest] : [largest, least])
      if (points.at(-1)?.[0] !== timesUs[i]) points.push([timesUs[i]!, values[i]!]);
  }
  return points;
}
