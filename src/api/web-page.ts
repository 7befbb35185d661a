/**
 * Owns the files of the web page: those that were there when the server started, and no others. An address that is no
 * file and wants HTML is a view of the application, so it gets the page itself. Files under assets/ have their content's
 * hash in their name and are kept by browsers for good; the rest is asked for again.
 */

import { readdir } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';

import fastifyStatic from '@fastify/static';

import { assert } from '#base/assert.ts';
import type { Api } from '#api/api-options.ts';
import { sendNotFound } from '#api/problems.ts';
import { pagePolicy } from '#api/security-headers.ts';

const indexFile = 'index.html';

export async function addWebPage(api: Api, directory: string): Promise<void> {
  const files = await listFiles(directory);
  assert(files.has(indexFile), 'the built page has an index.html');
  await api.register(fastifyStatic, {
    root: directory,
    serve: false,
    // Set below, by the kind of file.
    cacheControl: false,
  });
  api.get('/*', {
    config: { access: 'public' },
    handler: (request, reply) => {
      const path = (request.params as { '*': string })['*'];
      const isFile = files.has(path);
      const isView = !path.startsWith('v1/') && (request.headers.accept ?? '').includes('text/html');
      if (!isFile && !isView && path !== '') return sendNotFound(request, reply);
      const file = isFile ? path : indexFile;
      return (
        reply
          // A worker obeys the policy its own script came with, so every file carries the page's.
          .header('content-security-policy', pagePolicy(request.headers.host))
          .header(
            'cache-control',
            file.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
          )
          .sendFile(file)
      );
    },
  });
}

/** Paths as in an address, relative to the directory. */
async function listFiles(directory: string): Promise<ReadonlySet<string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return new Set(
    entries
      .filter((entry) => entry.isFile())
      .map((entry) => relative(directory, join(entry.parentPath, entry.name)).split(sep).join('/')),
  );
}
