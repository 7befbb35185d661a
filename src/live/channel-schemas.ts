/** Owns the compiled schemas of the definitions: each is compiled once, when the server starts. */

import type { TSchema } from 'typebox';

import type { AnyChannel, RequestDefinition, Schemas } from '#contract/channel-definition.ts';
import { createValueCheck } from '#contract/validation.ts';
import type { WireError } from '#protocol/data-codec.ts';

export type ValueCheck = (value: unknown) => WireError | null;

export interface ChannelChecks {
  /** By event; what subscribers receive and what clients may send. */
  readonly out: ReadonlyMap<string, ValueCheck>;
  readonly in: ReadonlyMap<string, ValueCheck>;
  readonly requests: ReadonlyMap<
    string,
    {
      readonly definition: RequestDefinition<Schemas, Schemas, TSchema, TSchema>;
      readonly input: ValueCheck;
      readonly output: ValueCheck;
    }
  >;
}

/** Errors name the field below `/data`. */
export function compileChecks(definition: AnyChannel): ChannelChecks {
  return {
    out: compileAll(definition.out),
    in: compileAll(definition.in ?? {}),
    requests: new Map(
      Object.entries(definition.requests ?? {}).map(([name, request]) => [
        name,
        {
          definition: request,
          input: createValueCheck(request.input, '/data'),
          output: createValueCheck(request.output, '/data'),
        },
      ]),
    ),
  };
}

function compileAll(schemas: Schemas): ReadonlyMap<string, ValueCheck> {
  return new Map(
    Object.entries(schemas).map(([event, schema]) => [event, createValueCheck(schema, '/data')]),
  );
}
