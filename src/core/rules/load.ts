/**
 * Loads a policy.
 * **In**: paths of files and folders, or their text. **Out**: a complete {@link Policy} or none; all findings; documents with
 * cases. **Fails**: never by throwing.
 */
import { createHash } from 'node:crypto';
import { dirname, resolve } from 'node:path';
import { AttributesSection } from './sections/attributes-section.ts';
import { Carriage } from './carriage.ts';
import { documentKind } from './document-kind.ts';
import { parseDivided } from '../../yaml/divided-document.ts';
import { type ParsedFile, parseDocuments } from '../../yaml/document.ts';
import { dialledHandlers } from './sections/dialled-handlers.ts';
import { declareOutputs, enrichOrder } from './sections/enrich-outputs.ts';
import { fieldsOf } from '../../yaml/fields.ts';
import { Findings, type Finding } from '../../yaml/findings.ts';
import type { Environment } from './sections/config-values.ts';
import { adaptersNamedIn, HandlersSection } from './sections/handlers-section.ts';
import { type Document, IndivisibleError, type MapNode, type Node, nodeAt, plain } from '../../yaml/nodes.ts';
import { type PolicyFile, type PolicyFiles, readPolicyFiles } from '../../yaml/policy-files.ts';
import type { HandlerSpec, Policy } from './policy.ts';
import { loadedPlugins, type PolicyPlugins } from './sections/plugins-section.ts';
import { type RuleList, RulesSection } from './sections/rules-section.ts';
import { settingsOf } from './sections/settings-section.ts';
import { shortExcerpt, SourceText, type Position } from '../../yaml/source-text.ts';
import type { Registry } from '../../adapters/registry.ts';
import type { Translated } from '../../importers/istio/index.ts';
import { type SecretText, SecretTexts } from '../../text/secret-texts.ts';
import { TimeSlice } from '../../time/time-slice.ts';

export interface LoadOptions {
  /** The built-in adapters; those of the plugins that the policy names are added to them. */
  readonly adapters: Registry;
  /** Handlers that rules may use without a declaration, such as those in force; a declaration replaces one of the same name. */
  readonly handlers?: ReadonlyMap<string, HandlerSpec>;
  /** For `{ $env: NAME }`; default: `process.env`. */
  readonly env?: Environment;
  /** For `{ $file: PATH }`; throws the system's error. Default: from disk. */
  readonly readText?: (file: string) => string;
  /** Severity of `{ $env: NAME }` if NAME is not set: a warning where a policy is only checked, not served. Default: error. */
  readonly unsetEnv?: 'error' | 'warning';
  /** Whether a CUSTOM policy of Istio with an unknown provider denies, as in Istio. Default: it is an error. */
  readonly isLenient?: boolean;
}

/** A document with cases, not parsed further; the test runner knows their form. */
export interface CasesDocument {
  readonly file: string;
  readonly position: Position;
  /** As written, relative to the file; `undefined`: the policy it was loaded with. */
  readonly policy: string | undefined;
  readonly cases: unknown;
  /** Position of a value in `cases`. */
  positionOf(path: readonly PropertyKey[]): Position;
}

export interface LoadedPolicy {
  /** `undefined` if there is an error. */
  readonly policy: Policy | undefined;
  readonly findings: readonly Finding[];
  readonly cases: readonly CasesDocument[];
  /** What Istio's documents come to. */
  readonly imported: Translated;
  /** Loaded also where the rest of the policy has errors. */
  readonly plugins: PolicyPlugins;
}

export async function loadPolicy(paths: readonly string[], options: LoadOptions): Promise<LoadedPolicy> {
  return loadPolicyFiles(await readPolicyFiles(paths), options);
}

/** As {@link loadPolicy}, from file names and texts in memory. */
export async function loadPolicyText(files: ReadonlyMap<string, string>, options: LoadOptions): Promise<LoadedPolicy> {
  return loadPolicyFiles(
    {
      files: [...files].map(([file, text]) => ({ file, name: file, text })),
      found: new Set(),
      watched: [],
      findings: [],
    },
    options,
  );
}

/** The sections of a policy, document by document; the rest of the documents is released. */
interface Sections {
  readonly of: Readonly<Record<'plugins' | 'handlers' | 'settings' | 'attributes', readonly Node[]>>;
  readonly rules: RuleList[];
  readonly istio: readonly MapNode[];
  readonly policies: number;
  readonly cases: readonly CasesDocument[];
  readonly isBroken: boolean;
}

type Parse = (source: SourceText, findings: Findings, slice: TimeSlice) => Promise<ParsedFile>;

const parseByParts: Parse = async (source, findings, slice) => {
  const documents = await parseDivided(source, findings, slice);
  return documents === undefined ? parseDocuments(source, findings, slice) : { documents, broken: false };
};

async function sectionsOf(files: PolicyFiles, parse: Parse, findings: Findings, slice: TimeSlice): Promise<Sections> {
  const parsed: (ParsedFile & { readonly source: SourceText })[] = [];
  for (const { file, text } of files.files) {
    const source = new SourceText(file, text);
    parsed.push({ source, ...(await parse(source, findings, slice)) });
  }
  const data = dataFiles(parsed.flatMap(({ documents }) => documents.map(({ root }) => root)));
  const roots: (Document & { readonly root: MapNode })[] = [];
  const cases: CasesDocument[] = [];
  const istio: MapNode[] = [];
  let isBroken = files.findings.length > 0 || parsed.some(({ broken }) => broken);
  const sort = async (document: Document): Promise<void> => {
    if (slice.isOver) await slice.next();
    const kind = documentKind(document, findings);
    if (kind.kind === 'policy') roots.push({ ...document, root: kind.root });
    else if (kind.kind === 'cases') cases.push(casesOf(kind.root));
    else if (kind.kind === 'istio') istio.push(kind.root);
    else if (kind.kind === 'list') {
      for (const item of kind.items) await sort(item);
      isBroken ||= !kind.isWhole;
    } else if (kind.kind === 'refused') isBroken = true;
  };
  for (const { source, documents } of parsed) {
    if (files.found.has(source.file) && data.has(resolve(source.file))) continue;
    for (const document of documents) await sort(document);
  }
  const of = (key: string): Node[] => roots.flatMap(({ root }) => root.entries.get(key)?.value ?? []);
  const rules = roots.flatMap(({ root, laterRules }): RuleList[] => {
    const node = root.entries.get('rules')?.value;
    return node === undefined ? [] : [{ node, later: laterRules }];
  });
  return {
    of: { plugins: of('plugins'), handlers: of('handlers'), settings: of('settings'), attributes: of('attributes') },
    rules,
    istio,
    policies: roots.length + istio.length,
    cases,
    isBroken,
  };
}

/** As {@link loadPolicy}, from files already read. Yields to the event loop every few milliseconds. */
export async function loadPolicyFiles(files: PolicyFiles, options: LoadOptions): Promise<LoadedPolicy> {
  try {
    return await loadBy(parseByParts, files, options);
  } catch (error) {
    if (!(error instanceof IndivisibleError)) throw error;
    return loadBy(parseDocuments, files, options);
  }
}

const NOTHING_IMPORTED: Translated = { rules: [], handlers: [], attributes: [] };

async function loadBy(
  parse: Parse,
  files: PolicyFiles,
  { adapters: builtIn, handlers: undeclared, env = process.env, readText, unsetEnv, isLenient = false }: LoadOptions,
): Promise<LoadedPolicy> {
  const slice = new TimeSlice();
  const findings = new Findings();
  findings.take(files.findings);
  const {
    of: sections,
    rules: ruleLists,
    istio,
    policies,
    cases,
    isBroken,
  } = await sectionsOf(files, parse, findings, slice);
  const plugins = await loadedPlugins(sections.plugins, builtIn, findings);
  const someAreMissing = plugins.problems.length > 0;
  const adapters = await plugins.registry.including(adaptersNamedIn(sections.handlers));
  const dialled = await dialledHandlers(sections.handlers, adapters, someAreMissing, findings);
  const settings = settingsOf(sections.settings, findings);
  const handlers = new HandlersSection(
    { adapters, someAreMissing, dialled, undeclared, spool: settings.spool, env, readText, unsetEnv },
    findings,
  );
  for (const node of sections.handlers)
    if (isMap(node, 'handlers', findings)) await handlers.read(node, slice);
    else handlers.isIncomplete = true;
  const imported =
    istio.length === 0
      ? NOTHING_IMPORTED
      : await (
          await import('../../importers/istio/index.ts')
        ).translateIstio(
          istio,
          { settings: settings.istio, handlers: new Set(handlers.names.keys()), isLenient },
          findings,
          slice,
        );
  handlers.useAdapters(await adapters.including(adaptersNamedIn(imported.handlers)));
  for (const node of imported.handlers) await handlers.read(node, slice);
  const [one] = imported.rules;
  if (one !== undefined)
    ruleLists.push({ node: { kind: 'list', place: one.place, items: imported.rules }, later: [], isImported: true });
  const attributes = new AttributesSection(settings.attributes, findings);
  for (const node of sections.attributes)
    if (isMap(node, 'attributes', findings)) await attributes.read(node, slice);
    else findings.undeclared.add('my');
  for (const node of imported.attributes) await attributes.read(node, slice);
  const enrichOutputs = await declareOutputs(ruleLists, attributes, handlers, findings, slice);
  const carriage = new Carriage(() => attributes.attributes);
  await attributes.compileNamed(carriage, slice);
  const rules = new RulesSection({ attributes: attributes.attributes, handlers, carriage, enrichOutputs, findings });
  // Each list is released once read: the trees of many rules are larger than the compiled rules.
  for (let list = ruleLists.shift(); list !== undefined; list = ruleLists.shift()) await rules.read(list, slice);
  await rules.end(slice);
  settings.checkCount(rules.rules.length);
  settings.checkMasks(attributes.attributes);
  const enrich = await enrichOrder(rules, carriage, attributes.attributes, findings, slice);

  const isOnlyCases = cases.length > 0 && policies === 0;
  if (rules.rules.length === 0 && !isBroken && !isOnlyCases && !findings.hasErrors)
    findings.file(
      'RULES_NO_RULES',
      files.files[0]?.file ?? files.watched[0] ?? 'policy',
      files.files.length > 0
        ? 'the policy has no rule; write at least one under rules:'
        : 'no file of this folder ends in .yaml or .yml; only such files are read',
    );
  handlers.end();
  const names = files.files.map(({ file }) => file);
  const hasPolicy = !findings.hasErrors && !isBroken && rules.rules.length > 0;
  const policy: Policy | undefined = hasPolicy
    ? {
        revision: revisionOf(files.files),
        attributes: attributes.attributes,
        handlers: handlers.handlers,
        rules: rules.rules,
        enrich,
        plugins: plugins.found,
        decisions: settings.decisions,
        spoolFolder: settings.spool.folder,
        sendsVerdictId: rules.sendsVerdictId,
        watched: [...files.watched, ...handlers.files],
      }
    : undefined;
  return { policy, findings: withoutSecrets(findings.sorted(names), handlers.written), cases, imported, plugins };
}

/** The lines of the policy under its errors: a terminal and a log have more readers than the policy. */
function withoutSecrets(findings: readonly Finding[], written: readonly SecretText[]): readonly Finding[] {
  if (findings.length === 0) return findings;
  // Of the same length, so that carets stay aligned.
  const secrets = new SecretTexts(written.map(({ text }) => ({ text, shown: '*'.repeat(text.length) })));
  return findings.map((finding) =>
    finding.excerpt === undefined ? finding : { ...finding, excerpt: shortExcerpt(secrets.text(finding.excerpt)) },
  );
}

function isMap(node: Node, what: string, findings: Findings): node is MapNode {
  return fieldsOf(node, what, findings) !== undefined;
}

/** A file that a handler's config names is data, even if it is YAML in the policy's folder. */
export function dataFiles(roots: readonly Node[]): ReadonlySet<string> {
  const found = new Set<string>();
  const walk = (node: Node): void => {
    if (node.kind === 'list') for (const item of node.items) walk(item);
    else if (node.kind === 'map') for (const { value } of node.entries.values()) walk(value);
    else if (typeof node.value === 'string' && /\.ya?ml$/.test(node.value))
      found.add(resolve(dirname(node.place.source.file), node.value));
  };
  for (const root of roots) {
    const handlers = root.kind === 'map' ? root.entries.get('handlers')?.value : undefined;
    if (handlers !== undefined) walk(handlers);
  }
  return found;
}

function casesOf(root: MapNode): CasesDocument {
  const { source, start } = root.place;
  const cases = root.entries.get('cases')?.value;
  const policy = root.entries.get('policy')?.value;
  return {
    file: source.file,
    position: source.positionAt(start),
    policy: policy?.kind === 'scalar' && typeof policy.value === 'string' ? policy.value : undefined,
    cases: cases === undefined ? undefined : plain(cases),
    positionOf: (path) =>
      cases === undefined ? source.positionAt(start) : source.positionAt(nodeAt(cases, path).node.place.start),
  };
}

function revisionOf(files: readonly PolicyFile[]): string {
  const hash = createHash('sha256');
  // Piece by piece: a text of many rules has megabytes, and a concatenation would be a second one.
  for (const { name, text } of files) hash.update(name).update('\0').update(text).update('\0');
  return hash.digest('hex').slice(0, 12);
}
