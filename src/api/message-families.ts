/** Owns the schemas of whole families of messages for the API documents: each message and each family has a name. */

import { Type, type TSchema } from 'typebox';

/** Every message of one direction, told apart by `type`: `HubSubscribed` and so on, together `AnyHubMessage`. */
export function familyOf(name: string, schemas: Readonly<Record<string, TSchema>>): TSchema {
  const parts = Object.entries(schemas).map(([type, schema]) => memberOf(name, type, schema));
  return Type.Union(parts, { $id: `Any${name}Message` });
}

/** One message of the family. */
export function memberOf(name: string, type: string, schema: TSchema): TSchema {
  const title = type
    .split('-')
    .map((word) => word.charAt(0).toUpperCase() + word.slice(1))
    .join('');
  return { ...schema, $id: `${name}${title}` };
}
