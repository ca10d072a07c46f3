/** Lines of JSON or text in a file, rotated by size and age. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { defineAdapter, report, Unavailable } from 'sluice/plugin';
import { lineFormat, textShape } from '../lines/format.ts';
import { Lines } from '../lines/lines.ts';
import { LogFile } from './log-file.ts';
import { onReopenSignal } from './reopen-signal.ts';

const RETRY_AFTER_MS = 1000;
const CLOSE_MS = 3000;

const config = z.strictObject({
  path: z.string().min(1).describe('The file, relative to the policy. Its folder must exist.'),
  ...textShape,
  rotate: z
    .strictObject({
      maxBytes: z.int().min(1024).optional().describe('Size at which the file is rotated. Default: not by size.'),
      maxAgeMs: z.int().min(1000).optional().describe('Age at which the file is rotated. Default: not by age.'),
      keepFiles: z.int().min(0).default(10).describe('Number of rotated files to keep; the oldest are deleted.'),
      keepBytes: z
        .int()
        .min(0)
        .optional()
        .describe('Total size of the rotated files to keep; the oldest are deleted. Default: no limit.'),
    })
    .refine(({ maxBytes, maxAgeMs }) => maxBytes !== undefined || maxAgeMs !== undefined, {
      message: 'expected maxBytes, maxAgeMs or both',
    })
    .optional()
    .describe(
      'Renames the file to PATH.TIME.WORKER and begins a new one. Default: never; logrotate may move the file, which is then created anew.',
    )
    .meta({ examples: [{ maxBytes: 104_857_600, maxAgeMs: 86_400_000, keepFiles: 10 }] }),
  sync: z
    .boolean()
    .default(false)
    .describe('Whether a batch counts as written only when it is on the disk (fdatasync); slower.'),
});

export default defineAdapter({
  name: 'log-file',
  summary: 'Appends each report to a file as a line of JSON or text; rotates the file, or follows logrotate.',
  config,
  serves: { report: { input: 'any', batch: { max: 500, maxAgeMs: 200, maxBytes: 256 * 1024 } } },
  async open({ path, text, rotate, sync }, host) {
    const file = new LogFile({
      path: resolve(host.folder, path),
      rotate,
      sync,
      worker: host.worker.number,
      nowMs: () => host.clock.nowMs(),
      log: host.log,
    });
    const failed = (error: unknown): string => {
      const why = `${file.path} cannot be written: ${error instanceof Error ? error.message : String(error)}`;
      host.ready(false, why);
      return why;
    };
    const reopen = async (): Promise<void> =>
      file
        .reopen()
        .then(() => host.ready(true), failed)
        .then(() => undefined);
    await reopen();
    const forgetSignal = onReopenSignal(() => void reopen());
    const format = lineFormat(text);
    const lines = new Lines(file.append, format.line);
    return {
      ...report({
        sink: format.sink,
        async write(entries) {
          try {
            await lines.write(entries);
            host.ready(true);
          } catch (error) {
            throw new Unavailable(failed(error), RETRY_AFTER_MS, { cause: error });
          }
        },
      }),
      async close() {
        forgetSignal();
        await lines.flush(CLOSE_MS);
        if (lines.pending > 0)
          host.log.error(`${file.path}: the handler closed before its last lines were written`, {
            batches: lines.pending,
          });
        await file.close();
      },
    };
  },
});
