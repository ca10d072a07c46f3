#!/usr/bin/env -S node --max-semi-space-size=4
/** Entry point: checks the version of Node before loading modules that an older version cannot parse. */
import module from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { holdSignals } from '../serve/signals.ts';

const NEEDED = 24;
const EXIT_MS = 1000;
const major = Number(process.versions.node.split('.')[0]);

if (major < NEEDED) {
  process.stderr.write(
    `sluice: needs Node ${NEEDED} or newer; this is Node ${process.versions.node} (${process.execPath}).\n` +
      `  Install a newer Node, or put one beside the package: npm install node@${NEEDED} && npx sluice ...\n`,
  );
  process.exitCode = 3;
} else {
  // Once reports have waited for a slow sink, V8 would allocate all later ones in the old generation (docs/decisions/0009).
  setFlagsFromString('--no-allocation-site-pretenuring');
  // A young generation of 4 MB is collected sooner by one thread than by several that have to be woken (docs/decisions/0009).
  setFlagsFromString('--no-parallel-scavenge');
  // A call passes through many small functions; with room for more of them in one, it takes a tenth less CPU (docs/decisions/0009).
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=2500');
  // Halves the CPU time of later starts. Node does without if the folder is not writable.
  const { directory } = module.enableCompileCache();
  if (directory !== undefined) process.env['NODE_COMPILE_CACHE'] ??= directory; // threads and children read it
  const isServer = process.argv[2] === 'serve' || process.argv[2] === 'ratelimit';
  // What a start allocates stays, and would leave the young generation large; process-life.ts lets it grow (docs/decisions/0021).
  if (isServer) setFlagsFromString('--semi-space-growth-factor=1');
  if (isServer) holdSignals();
  const { exitOnUncaughtError, main } = await import('./main.ts');
  if (!isServer) exitOnUncaughtError(); // a server logs it and goes on
  process.exitCode = await main(process.argv.slice(2));
  // The command is done: a timer or socket that a plugin left open, or an unread log, must not keep the process alive.
  // Output of a command waits for its reader; handlers of a server had their grace.
  const end = (): void => {
    if (isServer || process.stdout.writableLength === 0) process.exit();
    setTimeout(end, EXIT_MS).unref();
  };
  setTimeout(end, EXIT_MS).unref();
}
