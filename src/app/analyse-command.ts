/**
 * Owns `kymo analyse`: reads a recording, an export, a CSV file or a session of a running server, runs the chain of motion over
 * it, prints the figures, and writes JSON, CSV and SVG.
 */

import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

import { systemClock as clock } from '#base/clock.ts';
import { AppError, messageOf } from '#base/errors.ts';
import { BodyModel as BodyModelSchema } from '#contract/motion.ts';
import { Compile } from 'typebox/compile';
import type { BodyModel } from '#motion/body-model.ts';
import { defaultBodyModel } from '#motion/default-body-model.ts';
import { readInputFile, readSession, type AnalysisInput } from '#app/analyse/analysis-input.ts';
import { analysisFiles, analysisText } from '#app/analyse/analysis-output.ts';
import { runAnalysis } from '#app/analyse/analysis-run.ts';
import { createServerRequests } from '#app/server-request.ts';
import { createWorkProgress } from '#app/work-progress.ts';

const usage = 'kymo analyse FILE|SESSION';
const sessionId = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export const analyseCommand = {
  help: `Usage: kymo analyse FILE|SESSION [flags]

  FILE                  a recording's folder (manifest.json), a folder that kymo export wrote, or a CSV file
  SESSION               the id of a session of a running server
  --recording <name>    which recording of the folder
  --segment <segment>   CSV file: where the sensor was, such as left-foot or lower-back
  --body-model <file>   JSON: which stream is which segment, and how each sensor sits (docs/analysis.md)
  --height <metres>     how tall the wearer is; step lengths from the lower back need it
  --out <folder>        write analysis.json, metrics.csv, strides.csv, cycles.csv and plots there
  --force               write into a folder that has something in it
  --url <url>           SESSION: the server (default http://127.0.0.1:7900)
  --key <key>           SESSION: an access key (ka_...)
  --json                print the whole analysis as JSON

Joint angles need sensors on neighbouring segments; gait needs one on each foot, or one on the lower back.`,

  async run(args: readonly string[]): Promise<number> {
    const { input: given, values } = parse(args);
    const progress = createWorkProgress(clock, false);
    const step = (name: string, done: number, of: number): void => {
      // On standard output a machine wants nothing but the analysis.
      if (!values.json) progress.update(name, { bytes: done, ofBytes: of });
    };
    const stopped = new AbortController();
    const stop = (): void => stopped.abort();
    process.once('SIGINT', stop);
    try {
      if (values.out !== undefined && !values.force) await refuseFilled(resolve(values.out));
      const input = sessionId.test(given)
        ? await readSession(createServerRequests({ url: values.url, key: values.key, clock }), given, {
            signal: stopped.signal,
            step,
          })
        : await readInputFile(resolve(given), {
            recording: values.recording,
            segment: values.segment,
            step,
          });
      const model = withHeight(await modelOf(input, values['body-model']), values.height);
      const result = await runAnalysis(input.streams, model, step);
      if (!values.json) progress.finished(`${input.name}: ${result.readings} readings analysed`);
      if (values.out !== undefined) {
        const folder = resolve(values.out);
        await mkdir(folder, { recursive: true });
        const files = analysisFiles(input, result);
        for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
        if (!values.json) progress.finished(`${Object.keys(files).length} files written to ${folder}`);
      }
      console.log(values.json ? analysisFiles(input, result)['analysis.json'] : analysisText(input, result));
      return 0;
    } catch (error) {
      if (stopped.signal.aborted) throw new AppError('draining', 'stopped', { cause: error });
      throw error;
    } finally {
      process.off('SIGINT', stop);
    }
  },
};

async function modelOf(input: AnalysisInput, file: string | undefined): Promise<BodyModel> {
  if (file === undefined) {
    const model =
      input.bodyModel ??
      defaultBodyModel(input.streams.map((stream) => ({ ...stream, synthetic: input.synthetic })));
    if (model.placements.length > 0) return model;
    throw new AppError(
      'invalid-field',
      `no stream says where it is worn and has an accelerometer and a gyroscope: there are ${input.streams
        .map(
          ({ segment, axes }) => `${segment} (${axes.map(({ name, unit }) => `${name} ${unit}`).join(', ')})`,
        )
        .join('; ')}. Give --body-model.`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(await readFile(resolve(file), 'utf8'));
  } catch (cause) {
    throw new AppError('invalid-field', `--body-model ${file}: ${messageOf(cause)}`, { cause });
  }
  const validator = Compile(BodyModelSchema);
  if (!validator.Check(value)) {
    const first = validator.Errors(value)[0];
    throw new AppError(
      'invalid-field',
      `--body-model ${file}: ${first?.instancePath ?? ''} ${first?.message ?? ''}`,
      {
        field: first?.instancePath ?? '',
      },
    );
  }
  return value as BodyModel;
}

function withHeight(model: BodyModel, height: string | undefined): BodyModel {
  if (height === undefined) return model;
  const heightM = Number(height);
  if (!(heightM >= 0.4 && heightM <= 2.6))
    throw new AppError('invalid-field', `--height ${height}: metres, from 0.4 to 2.6`);
  return { ...model, heightM };
}

async function refuseFilled(folder: string): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  if (names.length > 0)
    throw new AppError(
      'conflict',
      `${folder} has something in it: give --force, or --out with another folder`,
    );
}

function parse(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        recording: { type: 'string' },
        segment: { type: 'string' },
        'body-model': { type: 'string' },
        height: { type: 'string' },
        out: { type: 'string' },
        force: { type: 'boolean', default: false },
        url: { type: 'string', default: 'http://127.0.0.1:7900' },
        key: { type: 'string' },
        json: { type: 'boolean', default: false },
      },
    });
    const [input, ...more] = positionals;
    if (input === undefined || more.length > 0)
      throw new AppError('invalid-field', `give one file, folder or session: ${usage}`);
    return { input, values };
  } catch (error) {
    if (error instanceof AppError) throw error;
    throw new AppError('invalid-field', `${messageOf(error)}: ${usage}`, { cause: error });
  }
}
