/**
 * The JSON Schema of a document: a policy, or cases.
 * **In**: the adapters that handlers can name. **Out**: a schema of draft 2020-12 for editors and validators; it accepts what
 * loading accepts, and refuses wrong keys and values. Expressions, names and references between parts are checked by loading alone.
 */
import type { Adapter } from '../../adapters/contract.ts';
import { KEYS, RANGES, WORDS } from '../../core/rules/keys.ts';
import { MASK_FORM } from '../../core/rules/sections/decision-masks.ts';
import { caseDefs } from '../cases/schema.ts';
import {
  bytes,
  described,
  duration,
  EXPRESSION,
  FLAG,
  ifHas,
  ifIs,
  listOf,
  mapOf,
  MY_NAME,
  NAME,
  namesTo,
  oneOfWords,
  ref,
  type Schema,
  TEXT,
  when,
  wholeNumber,
  without,
} from './json-schema.ts';
import { type PluginSchemas, pluginSchemas } from './plugin-schemas.ts';
import { ruleDefs } from './rule-schema.ts';

const AGE = duration(['s', 'm', 'h', 'd']);

export interface SchemaOptions {
  /** No other adapter can be named, since these are those of a policy. */
  readonly isComplete: boolean;
}

export function documentSchema(adapters: readonly Adapter[], { isComplete }: SchemaOptions): Schema {
  const plugins = pluginSchemas(adapters, isComplete);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: 'A policy of Sluice, or its cases',
    type: 'object',
    // Istio's documents have schemas of their own.
    ...when({ required: ['apiVersion'] }, {}, when({ required: ['cases'] }, ref('cases'), ref('policy'))),
    $defs: {
      policy: mapOf('policy', {
        settings: described('How attributes are read, and where reports are spooled.', ref('settings')),
        plugins: described(
          'Plugins whose adapters handlers name: packages, or paths.',
          listOf({ type: 'string', pattern: '\\S' }),
        ),
        attributes: described('Attributes of this policy, by names that begin with my.', ref('attributes')),
        handlers: described('Adapters, each with one config, by name.', ref('handlers')),
        rules: described('In order; the first denial answers.', listOf(ref('rule'))),
      }),
      cases: mapOf(
        'cases',
        {
          policy: described('The policy of the cases: a file or folder, relative to this file.', { type: 'string' }),
          cases: described('Calls and their wanted outcomes, for sluice test.', listOf(ref('case'))),
        },
        { required: ['cases'] },
      ),
      ...caseDefs(),
      settings: SETTINGS,
      attributes: { type: 'object', propertyNames: { pattern: MY_NAME }, additionalProperties: ref('attribute') },
      attribute: ATTRIBUTE,
      carrier: CARRIER,
      handlers: { type: 'object', propertyNames: NAME, additionalProperties: ref('handler') },
      handler: handlerOf(adapters, plugins, isComplete),
      ...ruleDefs(plugins),
      ...plugins.defs,
    },
  };
}

const SETTINGS = mapOf('settings', {
  trustedHops: described(
    'Proxies in front of Envoy whose X-Forwarded-For entries are trusted; default 0.',
    wholeNumber(RANGES.hops),
  ),
  trustedCertificateHops: described(
    "Trusts x-forwarded-client-cert: elements to the right of the client's; without it the header is not read.",
    wholeNumber(RANGES.hops),
  ),
  trustDomainAliases: described('Trust domains of SPIFFE IDs that read as another one.', namesTo(TEXT)),
  path: described('How request.url_path is normalised, as in Istio; default MERGE_SLASHES.', oneOfWords(WORDS.path)),
  pathParameters: described(
    'Whether request.url_path keeps parameters (;a=b); default keep.',
    oneOfWords(WORDS.pathParameters),
  ),
  rules: described(
    'The number of rules; another number is an error, since a file may have been truncated.',
    wholeNumber(RANGES.rules),
  ),
  spool: described(
    'The logs on disk of handlers with spool: disk.',
    mapOf('settingsSpool', {
      folder: described('A folder for each handler is made in it.', TEXT),
      maxBytes: described('Of one handler, in one worker; default 1GiB.', bytes(RANGES.spoolBytes)),
      maxAge: described('Older reports are dropped.', AGE),
      segmentBytes: described('The size of a file; default 16MiB.', bytes(RANGES.spoolBytes)),
      sync: described('always, never, or the time between writes to the disk; default 50ms.', {
        anyOf: [oneOfWords(['always', 'never']), duration(['ms', 's'])],
      }),
    }),
  ),
  decisions: described(
    'What report rules of decision calls get.',
    mapOf('settingsDecisions', {
      sample: described('The percentage of allowed calls, of rules without their own; default 0.', {
        type: 'number',
        minimum: 0,
        maximum: 100,
      }),
      mask: described(
        'Attributes that decisions do not show, such as origin.ip, or request.headers["x-user"].',
        listOf({ type: 'string', pattern: MASK_FORM.source }),
      ),
    }),
  ),
  istio: described(
    "What Istio's mesh config and the proxy know, for its security documents.",
    mapOf(
      'settingsIstio',
      {
        namespace: described(
          'The namespace of the workload that this server is for; default: each call names its workload.',
          TEXT,
        ),
        labels: described('The labels of the same workload.', namesTo({ type: 'string' })),
        service: described(
          'The host name of its service, for ServiceRole documents; default: each call names it.',
          TEXT,
        ),
        rootNamespace: described('Policies in it apply to all namespaces; default istio-system.', TEXT),
        trustDomain: described(
          'The trust domain of the mesh; default cluster.local. settings.trustDomainAliases has its aliases.',
          TEXT,
        ),
        providers: described('By the name of a provider, the check that CUSTOM policies make.', namesTo(ref('check'))),
      },
      { dependentRequired: { labels: ['namespace'], service: ['namespace'] } },
    ),
  ),
});

const ATTRIBUTE = mapOf(
  'attribute',
  {
    is: described('An expression, evaluated once per call.', EXPRESSION),
    type: described('The type of what the proxy sends.', {
      type: 'string',
      examples: [
        'string',
        'int',
        'double',
        'bool',
        'ip',
        'timestamp',
        'duration',
        'list(string)',
        'map(string, string)',
      ],
      minLength: 1,
    }),
    from: described('Where the proxy sends it; the first of a list that the call has.', {
      anyOf: [ref('carrier'), listOf(ref('carrier'))],
    }),
    secret: described('Hidden in logs, pages and reports.', FLAG),
    description: described('Free text.', TEXT),
  },
  when({ required: ['is'] }, without(['from', 'type']), { required: ['type', 'from'] }),
);

const CARRIER = mapOf(
  'carrier',
  {
    contextExtension: described('A context extension of ext_authz.', TEXT),
    metadata: described(
      'Dynamic metadata.',
      mapOf(
        'metadataCarrier',
        { namespace: TEXT, path: described('The keys, from the outermost one.', { type: 'array' }) },
        { required: ['namespace', 'path'] },
      ),
    ),
    filterState: described('An object of the filter state, in access logs.', TEXT),
    customTag: described('A custom tag of the access log.', TEXT),
    header: described('A header of the request; any client can send it.', TEXT),
  },
  { minProperties: 1 },
);

const handlerOf = (adapters: readonly Adapter[], { handler }: PluginSchemas, isComplete: boolean): Schema => {
  const known = { oneOf: adapters.map(({ name, summary }) => ({ const: name, description: summary })) };
  return mapOf(
    'handler',
    {
      adapter: described('The adapter; `sluice plugins` lists them.', isComplete ? known : { anyOf: [known, TEXT] }),
      config: described("The adapter's config; `sluice plugins show ADAPTER` explains it.", {}),
      deadline: described('For one call; default 50ms, for reports 30s.', duration(['ms', 's'])),
      concurrency: described('Calls at once; default 256.', wholeNumber(RANGES.concurrency)),
      queue: described('Calls, or reports, that wait; default 16384.', wholeNumber(RANGES.queue)),
      breaker: described(
        'The circuit breaker.',
        mapOf('breaker', {
          failures: described('It opens after so many failures in a row; default 10.', wholeNumber(RANGES.failures)),
          openFor: described('Default 1s.', duration(['ms', 's', 'm'])),
          window: described('The failures span at least this time; default 250ms.', duration(['ms', 's', 'm'])),
        }),
      ),
      batch: described(
        'Batches of reports.',
        mapOf('batch', {
          max: described('Reports of a batch.', wholeNumber(RANGES.batchMax)),
          maxAge: described('A report waits at most this time for others.', duration(['ms', 's', 'm'])),
          maxBytes: described('The size of a batch.', bytes(RANGES.batchBytes)),
        }),
      ),
      local: described(
        'The handler that counts while this one is unavailable, for rules with onError: { handler: local }.',
        mapOf(
          'local',
          {
            handler: TEXT,
            replicas: described('Servers that share a limit; each admits its part.', wholeNumber(RANGES.replicas)),
          },
          { required: ['handler', 'replicas'] },
        ),
      ),
      run: described('Where the handler runs; default inline.', RUN),
      cache: described(
        'Answers that stay valid.',
        mapOf('cache', { maxBytes: described('Default 8MiB; 0 keeps none.', bytes(RANGES.cacheBytes)) }),
      ),
      spool: described('Where reports wait: in memory, or in a log on disk.', SPOOL),
    },
    { required: ['adapter'], allOf: handler },
  );
};

const TLS = mapOf(
  'tls',
  {
    ca: described("A PEM file with the authority of the plugin's certificate.", TEXT),
    cert: described('A PEM file with our own certificate.', TEXT),
    key: described('A PEM file with its private key.', TEXT),
    serverName: described("The name in the plugin's certificate; default: the host of the address.", TEXT),
  },
  { dependentRequired: { cert: ['key'], key: ['cert'] } },
);

const WORKER = mapOf('worker', {
  memory: described('The heap of the process, from 32MiB.', { type: 'string', pattern: '^\\d+(MiB|GiB)$' }),
});

const RUN: Schema = {
  anyOf: [
    oneOfWords(WORDS.run),
    mapOf(
      'run',
      {
        worker: described('A process of its own.', WORKER),
        dial: described('Behind an address, over gRPC: unix:PATH or HOST:PORT.', TEXT),
        tls: described('TLS to the address.', TLS),
      },
      { allOf: [ifHas('dial', without(['worker'])), ifHas('tls', { required: ['dial'], ...without(['worker']) })] },
    ),
  ],
};

const SPOOL: Schema = {
  anyOf: [
    oneOfWords(WORDS.spool),
    mapOf(
      'spool',
      {
        kind: oneOfWords(WORDS.spool),
        whenFull: described('Default block: the stream of access logs is not read.', oneOfWords(WORDS.whenFull)),
        maxBytes: described('Default: that of settings.spool.', bytes(RANGES.spoolBytes)),
        maxAge: described('Older reports are dropped.', AGE),
      },
      {
        required: ['kind'],
        allOf: [
          ifIs(
            'kind',
            'memory',
            without(KEYS.spool.filter((key) => !(KEYS.memorySpool as readonly string[]).includes(key))),
          ),
        ],
      },
    ),
  ],
};
