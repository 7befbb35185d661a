import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';

import {
  createSyntheticWalker,
  GRAVITY_M_S2,
  SENSOR_STRIDE,
  SENSORS_LENGTH,
  walkerCode,
  walkerLimits,
  walkerOfSeed,
  type SyntheticWalker,
  type WalkerParameters,
} from '#simulator/synthetic-walker.ts';
import { walkerBody, walkerSegments, type WalkerSegment } from '#simulator/walker-body.ts';
import { POSE_LENGTH, POSE_STRIDE } from '#simulator/walker-pose.ts';

const DEG = Math.PI / 180;

/** Natural pace, no variability: a walk whose figures are known beforehand. */
const plain: WalkerParameters = {
  seed: 0x7f3a,
  rateHz: 200,
  heightM: 1.75,
  cadenceStepsPerMin: 110,
  stepLengthM: 0.68,
  asymmetry: 0,
  strideTimeVariability: 0,
  strideLengthVariability: 0,
  headingDeg: 30,
};

function poseOf(walker: SyntheticWalker, segment: WalkerSegment, timeS: number): Float64Array {
  const pose = new Float64Array(POSE_LENGTH);
  walker.poseAt(timeS, pose);
  const at = walkerSegments.indexOf(segment) * POSE_STRIDE;
  return pose.slice(at, at + POSE_STRIDE);
}

function sensorOf(walker: SyntheticWalker, segment: WalkerSegment, timeS: number): Float64Array {
  const out = new Float64Array(SENSORS_LENGTH);
  walker.sensorsAt(timeS, out);
  const at = walkerSegments.indexOf(segment) * SENSOR_STRIDE;
  return out.slice(at, at + SENSOR_STRIDE);
}

/** Height of a point of the foot above the ground, the point given from the ankle in the foot's frame. */
function soleHeight(
  walker: SyntheticWalker,
  side: 'left' | 'right',
  where: 'heel' | 'ball',
  timeS: number,
): number {
  const body = walkerBody(walker.parameters.heightM);
  const [, , z, w, , y] = poseOf(walker, `${side}-foot`, timeS) as unknown as number[];
  const pitch = 2 * Math.atan2(y!, w!);
  const sensor = body.sensorOffsets[`${side}-foot`];
  const dx = (where === 'heel' ? -body.heelM : body.ballM) - sensor.x;
  const dz = -body.ankleHeightM - sensor.z;
  return z! - dx * Math.sin(pitch) + dz * Math.cos(pitch);
}

/** Strapdown integration that knows nothing of the walker: quaternion by mean rates, then velocity and place. */
function integrate(walker: SyntheticWalker, segment: WalkerSegment, fromS: number, toS: number) {
  const dt = 1 / walker.parameters.rateHz;
  let q = Array.from(poseOf(walker, segment, fromS).slice(3));
  const velocity = [0, 0, 0];
  const place = [0, 0, 0];
  const toWorld = (v: ArrayLike<number>): number[] => {
    const [w, x, y, z] = q as [number, number, number, number];
    const t = [
      2 * (y * v[2]! - z * v[1]!),
      2 * (z * v[0]! - x * v[2]!),
      2 * (x * v[1]! - y * v[0]!),
    ] as const;
    return [
      v[0]! + w * t[0] + (y * t[2] - z * t[1]),
      v[1]! + w * t[1] + (z * t[0] - x * t[2]),
      v[2]! + w * t[2] + (x * t[1] - y * t[0]) - GRAVITY_M_S2,
    ];
  };
  let sensor = sensorOf(walker, segment, fromS);
  let acc = toWorld(sensor);
  for (let i = 1; i <= Math.round((toS - fromS) / dt); i++) {
    const next = sensorOf(walker, segment, fromS + i * dt);
    const half = [3, 4, 5].map((axis) => ((sensor[axis]! + next[axis]!) / 4) * DEG * dt);
    const angle = Math.hypot(...half);
    const s = angle === 0 ? 1 : Math.sin(angle) / angle;
    const [rw, rx, ry, rz] = [Math.cos(angle), half[0]! * s, half[1]! * s, half[2]! * s];
    const [w, x, y, z] = q as [number, number, number, number];
    q = [
      w * rw - x * rx - y * ry - z * rz,
      w * rx + x * rw + y * rz - z * ry,
      w * ry - x * rz + y * rw + z * rx,
      w * rz + x * ry - y * rx + z * rw,
    ];
    const nextAcc = toWorld(next);
    for (let axis = 0; axis < 3; axis++) {
      const before = velocity[axis]!;
      velocity[axis] = before + ((acc[axis]! + nextAcc[axis]!) / 2) * dt;
      place[axis] = place[axis]! + ((before + velocity[axis]!) / 2) * dt;
    }
    sensor = next;
    acc = nextAcc;
  }
  return { q, velocity, place };
}

describe('a plain walk', () => {
  let walker: SyntheticWalker;
  beforeAll(() => {
    walker = createSyntheticWalker(plain);
  });

  test('has the cadence, stride and speed that it was given', () => {
    expect(walker.strideTimeS).toBeCloseTo(120 / 110, 3);
    expect(walker.strideLengthM).toBe(1.36);
    expect(walker.speedMS).toBeCloseTo((1.36 * 110) / 120, 3);
    expect(walker.loopS * 200).toBeCloseTo(walker.loopReadings, 9);
    expect(walker.code).toBe('walker-7f3a');
    for (const segment of walkerSegments) {
      const forward = poseOf(walker, segment, 5 * walker.loopS + 1)[0]! - poseOf(walker, segment, 1)[0]!;
      expect(forward / (5 * walker.loopS)).toBeCloseTo(walker.speedMS, 9);
    }
  });

  test('contacts alternate, with 62 % of stance and half a stride from side to side', () => {
    const contacts = walker.contactsBetween(0.01, 8 * walker.strideTimeS + 0.01);
    expect(contacts).toHaveLength(32);
    const order = ['right final', 'right initial', 'left final', 'left initial'];
    contacts.forEach(({ side, kind }, i) => expect(`${side} ${kind}`).toBe(order[i % 4]));
    const initial = contacts.filter(({ kind }) => kind === 'initial');
    initial.slice(1).forEach((contact, i) => {
      expect(contact.timeS - initial[i]!.timeS).toBeCloseTo(walker.strideTimeS / 2, 9);
      expect(contact.strideLengthM).toBeCloseTo(1.36, 12);
    });
    const left = contacts.filter(({ side }) => side === 'left');
    const start = left.findIndex(({ kind }) => kind === 'initial');
    expect((left[start + 1]!.timeS - left[start]!.timeS) / walker.strideTimeS).toBeCloseTo(0.62, 9);
  });

  test('a flat foot is truly at rest, for a fifth of the stride', () => {
    for (const side of ['left', 'right'] as const) {
      const starts = walker
        .contactsBetween(1, 9)
        .filter((contact) => contact.side === side && contact.kind === 'initial');
      expect(starts.length).toBeGreaterThan(6);
      for (const { timeS } of starts) {
        for (let part = 0.12; part <= 0.29; part += 0.005) {
          const at = timeS + part * walker.strideTimeS;
          const [ax, ay, az, gx, gy, gz] = sensorOf(walker, `${side}-foot`, at) as unknown as number[];
          expect(Math.hypot(gx!, gy!, gz!)).toBeLessThan(1e-6);
          expect(Math.hypot(ax!, ay!)).toBeLessThan(1e-5);
          expect(Math.abs(az! - GRAVITY_M_S2)).toBeLessThan(1e-5);
        }
      }
    }
  });

  test('feet touch the ground between their contacts, and only there', () => {
    for (const side of ['left', 'right'] as const) {
      const contacts = walker.contactsBetween(2, 6).filter((contact) => contact.side === side);
      for (const { kind, timeS } of contacts) {
        const where = kind === 'initial' ? 'heel' : 'ball';
        const touching = soleHeight(walker, side, kind === 'initial' ? 'heel' : 'ball', timeS);
        // At final contact the foot stands on the tip of the toes, which bend; the ball has risen with them.
        expect(Math.abs(touching)).toBeLessThan(kind === 'initial' ? 0.002 : 0.06);
        const away = kind === 'initial' ? timeS - 0.03 : timeS + 0.03;
        expect(soleHeight(walker, side, where, away)).toBeGreaterThan(touching + 0.002);
      }
    }
    for (let t = 0; t < 4; t += 0.003) {
      for (const where of ['heel', 'ball'] as const)
        expect(soleHeight(walker, 'left', where, t)).toBeGreaterThan(-0.001);
    }
  });

  test('joint angles are those of normal gait at a natural pace', () => {
    const initial = walker
      .contactsBetween(1, 4)
      .find(({ side, kind }) => side === 'left' && kind === 'initial')!;
    const cycle = Array.from({ length: 200 }, (_, i) => {
      const timeS = initial.timeS + (i / 200) * walker.strideTimeS;
      return { part: i / 200, left: walker.jointAnglesAt(timeS).left };
    });
    const angles = (joint: 'hipFlexion' | 'kneeFlexion' | 'ankleDorsiflexion', from = 0, to = 1): number[] =>
      cycle.filter(({ part }) => part >= from && part < to).map(({ left }) => left[joint]);
    const expectBetween = (value: number, low: number, high: number): void => {
      expect(value).toBeGreaterThan(low);
      expect(value).toBeLessThan(high);
    };
    // Perry and Burnfield 2010, table 2-3 and chapters 4 to 6, with the spread of healthy adults.
    const swingPeak = cycle.reduce((best, now) =>
      now.left.kneeFlexion > best.left.kneeFlexion ? now : best,
    );
    expectBetween(swingPeak.left.kneeFlexion, 57, 67);
    expectBetween(swingPeak.part, 0.69, 0.76);
    expectBetween(Math.max(...angles('kneeFlexion', 0, 0.3)), 13, 23);
    expectBetween(Math.min(...angles('kneeFlexion')), 2, 9);
    expectBetween(cycle[0]!.left.kneeFlexion, 2, 10);
    expectBetween(cycle[0]!.left.hipFlexion, 27, 40);
    expectBetween(Math.min(...angles('hipFlexion', 0.4, 0.65)), -14, 0);
    expectBetween(Math.max(...angles('hipFlexion')) - Math.min(...angles('hipFlexion')), 38, 50);
    expectBetween(Math.max(...angles('ankleDorsiflexion', 0.3, 0.55)), 8, 17);
    expectBetween(Math.min(...angles('ankleDorsiflexion', 0.55, 0.75)), -23, -12);
    expectBetween(Math.min(...angles('ankleDorsiflexion', 0, 0.2)), -8, -2);
  });

  test('left and right do the same, half a stride apart', () => {
    for (let t = 0; t < walker.strideTimeS; t += 0.05) {
      const { left } = walker.jointAnglesAt(t);
      const { right } = walker.jointAnglesAt(t + walker.strideTimeS / 2);
      for (const [name, value] of Object.entries(left))
        expect(right[name as keyof typeof right]).toBeCloseTo(value, 6);
    }
  });

  test('integrating the gyroscope for 10 s gives the orientation of every segment', () => {
    for (const segment of walkerSegments) {
      const { q } = integrate(walker, segment, 0.5, 10.5);
      const truth = poseOf(walker, segment, 10.5).slice(3);
      const dot = q.reduce((sum, value, i) => sum + value * truth[i]!, 0);
      // 200 readings a second leave a few hundredths of a degree, after 9 impacts.
      expect((2 * Math.acos(Math.min(1, Math.abs(dot)))) / DEG).toBeLessThan(0.1);
    }
  });

  test('integrating the accelerometer twice from rest to rest gives the stride', () => {
    for (const side of ['left', 'right'] as const) {
      const [first] = walker
        .contactsBetween(1, 4)
        .filter((contact) => contact.side === side && contact.kind === 'initial');
      const flatS = Math.round((first!.timeS + 0.22 * walker.strideTimeS) * 200) / 200;
      const strideReadings = Math.round(walker.strideTimeS * 200);
      const { place, velocity } = integrate(walker, `${side}-foot`, flatS, flatS + strideReadings / 200);
      expect(Math.abs(place[0]! / (walker.speedMS * walker.strideTimeS) - 1)).toBeLessThan(0.01);
      expect(Math.abs(place[1]!)).toBeLessThan(0.001);
      expect(Math.abs(place[2]!)).toBeLessThan(0.01);
      expect(Math.hypot(...velocity)).toBeLessThan(0.02);
    }
  });

  test('signals have the size of recorded ones', () => {
    // data/gaitmap: foot gyroscope +550 to +590 deg/s at toe-off and -340 to -380 in swing, 1.28 m/s.
    let most = 0;
    let least = 0;
    for (let i = 0; i < walker.loopReadings; i += 2) {
      const gyrY = sensorOf(walker, 'left-foot', i / 200)[4]!;
      most = Math.max(most, gyrY);
      least = Math.min(least, gyrY);
    }
    expect(most).toBeGreaterThan(450);
    expect(most).toBeLessThan(650);
    expect(least).toBeLessThan(-300);
    expect(least).toBeGreaterThan(-480);
  });

  test('everything but the place repeats after the loop', () => {
    const first = new Float64Array(SENSORS_LENGTH);
    const second = new Float64Array(SENSORS_LENGTH);
    for (const t of [0, 0.001, 3.217]) {
      walker.sensorsAt(t, first);
      walker.sensorsAt(t + 3 * walker.loopS, second);
      for (let i = 0; i < SENSORS_LENGTH; i++) expect(second[i]).toBeCloseTo(first[i]!, 4);
    }
  });

  test('the magnetometer sees a field of constant strength, pointing down and to the north', () => {
    for (const timeS of [0.1, 0.7, 1.3]) {
      for (const segment of walkerSegments) {
        const [, , , , , , mx, my, mz] = sensorOf(walker, segment, timeS) as unknown as number[];
        expect(Math.hypot(mx!, my!, mz!)).toBeCloseTo(Math.hypot(21, 44), 9);
      }
    }
    const contact = walker.contactsBetween(1, 3).find(({ kind }) => kind === 'initial')!;
    const flat = sensorOf(walker, `${contact.side}-foot`, contact.timeS + 0.22 * walker.strideTimeS);
    // Walking 30 degrees east of north: north is ahead and to the left.
    expect(flat[6]).toBeCloseTo(21 * Math.cos(30 * DEG), 6);
    expect(flat[7]).toBeCloseTo(21 * Math.sin(30 * DEG), 6);
    expect(flat[8]).toBeCloseTo(-44, 6);
  });
});

test('variability gives strides the standard deviation that was asked for, and the same mean', () => {
  const walker = createSyntheticWalker({
    ...plain,
    strideTimeVariability: 0.03,
    strideLengthVariability: 0.02,
  });
  const start = walker.contactsBetween(0, 3).find(({ side, kind }) => side === 'left' && kind === 'initial')!;
  const contacts = walker
    .contactsBetween(start.timeS - 1e-6, start.timeS + walker.loopS + 1e-6)
    .filter(({ side, kind }) => side === 'left' && kind === 'initial');
  expect(contacts).toHaveLength(17);
  const times = contacts.slice(1).map(({ timeS }, i) => timeS - contacts[i]!.timeS);
  const lengths = contacts.slice(1).map(({ strideLengthM }) => strideLengthM);
  const meanOf = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const spreadOf = (values: number[]): number =>
    Math.sqrt(meanOf(values.map((value) => (value / meanOf(values) - 1) ** 2)));
  expect(meanOf(times)).toBeCloseTo(walker.strideTimeS, 9);
  expect(meanOf(lengths)).toBeCloseTo(1.36, 9);
  expect(spreadOf(times)).toBeCloseTo(0.03, 2);
  expect(spreadOf(lengths)).toBeCloseTo(0.02, 3);
  // The lengths are where the feet really stand.
  for (const { timeS, strideLengthM } of contacts.slice(1, 4)) {
    const flat = (t: number): number => poseOf(walker, 'left-foot', t + 0.25)[0]!;
    const before = contacts[contacts.findIndex((contact) => contact.timeS === timeS) - 1]!;
    expect(flat(timeS) - flat(before.timeS)).toBeCloseTo(strideLengthM, 9);
  }
});

test('an asymmetric walk stands longer on one leg', () => {
  const walker = createSyntheticWalker({ ...plain, asymmetry: 0.1 });
  const stance = (side: 'left' | 'right'): number => {
    const own = walker.contactsBetween(2, 6).filter((contact) => contact.side === side);
    const start = own.findIndex(({ kind }) => kind === 'initial');
    return own[start + 1]!.timeS - own[start]!.timeS;
  };
  expect((stance('left') - stance('right')) / ((stance('left') + stance('right')) / 2)).toBeCloseTo(0.1, 6);
});

test('the same seed gives the same person, another seed another one, and nobody has a name', () => {
  expect(walkerOfSeed(5)).toEqual(walkerOfSeed(5));
  expect(walkerOfSeed(6).heightM).not.toBe(walkerOfSeed(5).heightM);
  const varied = { ...plain, strideTimeVariability: 0.02 };
  const again = sensorOf(createSyntheticWalker(varied), 'right-shank', 7.77);
  expect(sensorOf(createSyntheticWalker(varied), 'right-shank', 7.77)).toEqual(again);
  expect(sensorOf(createSyntheticWalker({ ...varied, seed: 1 }), 'right-shank', 7.77)).not.toEqual(again);
  expect([0x7f3a, 0, -1, 2 ** 40 + 5].map(walkerCode)).toEqual([
    'walker-7f3a',
    'walker-0000',
    'walker-ffff',
    'walker-0005',
  ]);
});

test('whoever the seed gives keeps feet above ground, knees bent and impacts bounded', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => {
      const walker = createSyntheticWalker(walkerOfSeed(seed));
      const out = new Float64Array(SENSORS_LENGTH);
      for (let t = 0; t < 5; t += 0.017) {
        for (const side of ['left', 'right'] as const) {
          expect(soleHeight(walker, side, 'heel', t)).toBeGreaterThan(-0.005);
          expect(soleHeight(walker, side, 'ball', t)).toBeGreaterThan(-0.005);
          const { kneeFlexion } = walker.jointAnglesAt(t)[side];
          expect(kneeFlexion).toBeGreaterThan(1.5);
          expect(kneeFlexion).toBeLessThan(80);
        }
        walker.sensorsAt(t, out);
        // A wearable's range of 16 g and 2000 deg/s.
        for (let s = 0; s < SENSORS_LENGTH; s += SENSOR_STRIDE) {
          expect(Math.hypot(out[s]!, out[s + 1]!, out[s + 2]!)).toBeLessThan(157);
          expect(Math.hypot(out[s + 3]!, out[s + 4]!, out[s + 5]!)).toBeLessThan(1000);
        }
      }
    }),
    { numRuns: 5 },
  );
});

test('every corner of the limits is a walk, and beyond them it is refused', () => {
  const { heightM, cadenceStepsPerMin, stepLengthOfHeight, asymmetry, variability } = walkerLimits;
  for (const height of [heightM.min, heightM.max]) {
    for (const step of [stepLengthOfHeight.min, stepLengthOfHeight.max]) {
      for (const uneven of [asymmetry.min, asymmetry.max]) {
        const walker = createSyntheticWalker({
          ...plain,
          heightM: height,
          stepLengthM: step * height,
          asymmetry: uneven,
          cadenceStepsPerMin: cadenceStepsPerMin.max,
          strideTimeVariability: variability.max,
          strideLengthVariability: variability.max,
        });
        expect(sensorOf(walker, 'left-shank', 1.234).every(Number.isFinite)).toBe(true);
      }
    }
  }
  expect(() => createSyntheticWalker({ ...plain, stepLengthM: 1 })).toThrow('stepLengthM');
  expect(() => createSyntheticWalker({ ...plain, cadenceStepsPerMin: Number.NaN })).toThrow('cadence');
});
