/**
 * Rate limits from a control plane, by ADS in its state-of-the-world form. The type URL and messages are envoyproxy/ratelimit's
 * (api/ratelimit/config/ratelimit/v3).
 * **In**: a client of the control plane, and our node. **Out**: the configurations, each as the text of a file. **Fails**: never; a refused
 * response is answered by a NACK with the reason, and a stream that ends is reopened with back-off.
 */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { isUnit, unitName } from '../../ratelimit/call.ts';
import type { GrpcClient } from '../../transport/index.ts';
import {
  AggregatedDiscoveryService,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '../../../gen/envoy/service/discovery/v3/discovery_pb.ts';
import {
  type RateLimitConfig,
  RateLimitConfigSchema,
  type RateLimitDescriptor,
  RateLimitUnit,
} from '../../../gen/ratelimit/config/ratelimit/v3/rls_conf_pb.ts';
import { messageOf } from '../../text/message-of.ts';

const RATELIMIT_CONFIG_TYPE_URL: string = `type.googleapis.com/${RateLimitConfigSchema.typeName}`;

export interface XdsOptions {
  readonly client: GrpcClient;
  readonly nodeId: string;
  readonly nodeMetadata: Readonly<Record<string, string>>;
  /** Sent as gRPC metadata of the stream. */
  readonly headers: Readonly<Record<string, string>>;
  readonly firstPauseMs: number;
  readonly maxPauseMs: number;
  /** Puts them in force; resolves with the reason if they are refused. */
  readonly take: (files: readonly { readonly file: string; readonly text: string }[]) => Promise<string | undefined>;
  readonly onTrouble: (why: string) => void;
}

export function followXds(options: XdsOptions): { close(): Promise<void> } {
  const over = new AbortController();
  const following = (async () => {
    let pauseMs = options.firstPauseMs;
    while (!over.signal.aborted) {
      try {
        for await (const _ of follow(options, over.signal)) pauseMs = options.firstPauseMs;
        if (!over.signal.aborted) options.onTrouble('the control plane ended the stream');
      } catch (error) {
        if (!over.signal.aborted) options.onTrouble(messageOf(error));
      }
      await sleep(pauseMs * (0.75 + Math.random() / 2), undefined, { signal: over.signal }).catch(() => undefined);
      pauseMs = Math.min(pauseMs * 2, options.maxPauseMs);
    }
  })();
  return {
    async close() {
      over.abort();
      await following;
    },
  };
}

/** One stream; yields for each response that is accepted. */
async function* follow(
  { client, nodeId, nodeMetadata, headers, take, onTrouble }: XdsOptions,
  signal: AbortSignal,
): AsyncGenerator<void> {
  const outbox = new Outbox();
  let version = '';
  const request = (nonce: string, refusal?: string): Uint8Array =>
    toBinary(
      DiscoveryRequestSchema,
      create(DiscoveryRequestSchema, {
        versionInfo: version,
        node: { id: nodeId, metadata: { ...nodeMetadata } },
        typeUrl: RATELIMIT_CONFIG_TYPE_URL,
        responseNonce: nonce,
        ...(refusal === undefined ? {} : { errorDetail: { code: INVALID_ARGUMENT, message: refusal } }),
      }),
    );
  outbox.send(request(''));
  try {
    for await (const bytes of client.stream(
      `/${AggregatedDiscoveryService.typeName}/StreamAggregatedResources`,
      outbox.messages(),
      { metadata: headers, signal },
    )) {
      const { resources, typeUrl, versionInfo, nonce } = fromBinary(DiscoveryResponseSchema, bytes);
      if (typeUrl !== RATELIMIT_CONFIG_TYPE_URL) continue;
      let refusal: string | undefined;
      try {
        refusal = await take(resources.map(({ value }) => fileOf(fromBinary(RateLimitConfigSchema, value))));
      } catch (error) {
        refusal = messageOf(error);
        onTrouble(`a configuration is malformed: ${refusal}`);
      }
      if (refusal === undefined) version = versionInfo;
      outbox.send(request(nonce, refusal));
      if (refusal === undefined) yield;
    }
  } finally {
    outbox.end();
  }
}

const INVALID_ARGUMENT = 3;

/** Strings are quoted, so that YAML reads none as another type. */
const fileOf = (config: RateLimitConfig): { readonly file: string; readonly text: string } => ({
  file: config.name,
  text: stringify(
    { domain: config.domain, descriptors: config.descriptors.map(descriptorOf) },
    { version: '1.1', defaultStringType: 'QUOTE_DOUBLE', defaultKeyType: 'PLAIN', lineWidth: 0 },
  ),
});

function descriptorOf({
  key,
  value,
  rateLimit,
  descriptors,
  shadowMode,
  detailedMetric,
  quotaMode,
  metadata,
}: RateLimitDescriptor): object {
  return {
    key,
    ...(value === '' ? {} : { value }),
    ...(rateLimit === undefined
      ? {}
      : {
          rate_limit: {
            ...(rateLimit.unit === RateLimitUnit.UNKNOWN && rateLimit.unlimited
              ? {}
              : { unit: isUnit(rateLimit.unit) ? unitName(rateLimit.unit) : String(rateLimit.unit) }),
            requests_per_unit: rateLimit.requestsPerUnit,
            unlimited: rateLimit.unlimited,
            name: rateLimit.name,
            ...(rateLimit.replaces.length === 0 ? {} : { replaces: rateLimit.replaces.map(({ name }) => ({ name })) }),
          },
        }),
    ...(descriptors.length === 0 ? {} : { descriptors: descriptors.map(descriptorOf) }),
    shadow_mode: shadowMode,
    detailed_metric: detailedMetric,
    quota_mode: quotaMode,
    ...(metadata === undefined ? {} : { metadata }),
  };
}

/** The messages to send on a stream, as they are added. */
class Outbox {
  readonly #waiting: Uint8Array[] = [];
  #wake: () => void = () => {};
  #isOver = false;

  send(message: Uint8Array): void {
    this.#waiting.push(message);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *messages(): AsyncGenerator<Uint8Array> {
    for (;;) {
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) yield next;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
