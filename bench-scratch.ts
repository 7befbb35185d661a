import { defaultBodyModel } from '#motion/default-body-model.ts';
import { createSessionMotion } from '#motion/session-motion.ts';
import { typicalErrors } from '#simulator/sensor-errors.ts';
import { createSyntheticWalker, walkerOfSeed } from '#simulator/synthetic-walker.ts';
import { walkerSegments } from '#simulator/walker-body.ts';
import { createWalkerTable, walkerSource } from '#simulator/walker-source.ts';
const walker = createSyntheticWalker(walkerOfSeed(11));
const table = createWalkerTable(walker);
const sources = walkerSegments.map((segment, i) => walkerSource(table, { segment, firstRow: 0, errors: { model: typicalErrors, seed: 100 + i } }));
const model = defaultBodyModel(sources.map(({ definition }) => ({ id: definition.segment, ...definition, synthetic: true })));
const chain = createSessionMotion(model);
const seconds = 600;
const values = new Float32Array(20 * 6); const times = new Float64Array(20);
const cpu = () => process.cpuUsage().user / 1000; let t0 = cpu(); let fill = 0;
for (let k = 0; k < seconds * 10; k++) {
  for (const [p, { segment }] of model.placements.entries()) {
    const s = sources.find((o) => o.definition.segment === segment)!;
    const f0 = cpu();
    s.fill(k * 20, 20, values); for (let i = 0; i < 20; i++) times[i] = 1e15 + (k * 20 + i) * 5000;
    fill += cpu() - f0;
    chain.push(p, { timesUs: times, values, axes: 6, count: 20 });
  }
  chain.advance(1e15 + (k + 1) * 20 * 5000);
  if (k % 10 === 0) chain.take();
  if (k === 200) { t0 = cpu(); fill = 0; }
}
const ms = cpu() - t0 - fill; const n = (seconds * 10 - 201) * 20 * 7;
console.log('us per reading', (ms * 1000) / n, 'sessions per core', 1e6 / ((ms * 1000) / n) / 1400);
console.log(chain.angleNames.join(' '), chain.save().length);
