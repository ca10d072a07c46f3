#!/usr/bin/env -S node --max-semi-space-size=4
/** The command's first step: says clearly which Node it needs before anything that an older one cannot read is loaded. */
import module from 'node:module';
import { holdSignals } from '../serve/signals.ts';

const NEEDED = 24;
const LEFT_OPEN_MS = 1000;
const major = Number(process.versions.node.split('.')[0]);

if (major < NEEDED) {
  process.stderr.write(
    `sluice: needs Node ${NEEDED} or newer, and this is Node ${process.versions.node} (${process.execPath}).\n` +
      `  Install a newer Node, or put one beside the package: npm install node@${NEEDED} && npx sluice ...\n`,
  );
  process.exitCode = 3;
} else {
  // Halves the CPU time of a start from the second one on. A folder that cannot be written is left alone by Node.
  module.enableCompileCache();
  const isServer = process.argv[2] === 'serve' || process.argv[2] === 'ratelimit';
  if (isServer) holdSignals();
  const { main } = await import('./main.ts');
  process.exitCode = await main(process.argv.slice(2));
  // Nothing is left to do; what a plugin has left open (a timer, a socket), or a log that nobody reads, must not keep the process.
  // What a command prints waits for its reader; what a server's handlers write has had the grace for it.
  const end = (): void => {
    if (isServer || process.stdout.writableLength === 0) process.exit();
    setTimeout(end, LEFT_OPEN_MS).unref();
  };
  setTimeout(end, LEFT_OPEN_MS).unref();
}
