/**
 * Owns a Kymo process as far as the embedded database sees one: it starts or joins the database in the directory of
 * its first argument, prints one line of JSON about it, and leaves it when its input closes.
 */

import { startEmbeddedDatabase } from '#app/embedded-database.ts';

const [dataDir = ''] = process.argv.slice(2);
const { ownerUrl, adopted, firstRun, postmasterPid, stop } = await startEmbeddedDatabase({ dataDir });
console.log(JSON.stringify({ ownerUrl, adopted, firstRun, postmasterPid: postmasterPid() }));
for await (const _ of process.stdin) {
  // Nothing is sent; the end of the input is the message.
}
await stop();
