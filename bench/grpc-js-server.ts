/** The same engine, rules and frontends behind @grpc/grpc-js, to compare transports. `POLICY [CERT KEY]`, for check.ts and tls.ts. */
import { readFileSync } from 'node:fs';
import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall } from '@grpc/grpc-js';
import { loadBuiltIns } from '../src/adapters/loading/built-in.ts';
import { load } from '../src/cli/load.ts';
import { SILENT } from '../src/log/log.ts';
import { methodsOf } from '../src/serve/policy/methods.ts';
import { handlerOpener } from '../src/serve/policy/handler-opener.ts';
import { createEngine } from '../src/core/engine.ts';
import { rangeOf } from '../src/transport/byte-range.ts';

const registry = await loadBuiltIns();
const engine = createEngine({ openHandlers: handlerOpener(SILENT).openHandlers });
const { policy } = await load([process.argv[2] ?? ''], registry);
if (policy === undefined) throw new Error('the policy has errors');
await engine.use(policy);

const server = new Server({ 'grpc.enable_channelz': 0 });
const asBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
for (const [path, method] of methodsOf(engine, () => true)) {
  if (method.kind !== 'unary') continue;
  const handle = async (
    call: ServerUnaryCall<Buffer, Uint8Array>,
    callback: sendUnaryData<Uint8Array>,
  ): Promise<void> => {
    const deadlineMs = Number(call.getDeadline());
    const reply = method.handle(rangeOf(call.request), {
      peer: call.getPeer(),
      arrivedAtMs: performance.now(),
      signal: new AbortController().signal,
      draining: new AbortController().signal,
      ending: new AbortController().signal,
      metadata: () => undefined,
      get remainingMs() {
        return deadlineMs - Date.now();
      },
    });
    // Copied, since the engine reuses the bytes for its next answer
    callback(null, reply instanceof Promise ? await reply : new Uint8Array(reply));
  };
  server.register<Buffer, Uint8Array>(
    path,
    (call: ServerUnaryCall<Buffer, Uint8Array>, callback: sendUnaryData<Uint8Array>) => void handle(call, callback),
    asBuffer,
    (bytes: Buffer) => bytes,
    'unary',
  );
}
const [cert, key] = process.argv.slice(3).map((path) => readFileSync(path));
const credentials =
  cert === undefined || key === undefined
    ? ServerCredentials.createInsecure()
    : ServerCredentials.createSsl(null, [{ cert_chain: cert, private_key: key }]);
server.bindAsync('127.0.0.1:0', credentials, (error, port) => {
  if (error !== null) throw error;
  console.log(`gRPC 127.0.0.1:${port}`);
});
process.once('SIGTERM', () => process.exit(0));
