/**
 * The files of a mesh, read again at each change.
 * **In**: paths of files and folders with objects of Istio and Kubernetes. **Out**: the objects, and every finding about a file. Objects of
 * a file whose text stays are the same values as before, and so is a list of them, since what was made of them is kept by identity.
 * **Fails**: with findings and no objects; files are read whole or not at all.
 */
import { createHash } from 'node:crypto';
import { TimeSlice } from '../../time/time-slice.ts';
import { type Finding, Findings, sortedFindings } from '../../yaml/findings.ts';
import { readPolicyFiles } from '../../yaml/policy-files.ts';
import type { Kind } from '../rules/kinds.ts';
import {
  byKind,
  type FoundObject,
  type MeshObject,
  type MeshObjects,
  objectsOfFile,
  type TextFile,
} from './objects.ts';

export interface ReadFiles {
  /** undefined if there are errors. */
  readonly objects: MeshObjects | undefined;
  readonly findings: readonly Finding[];
  /** Equal for equal texts: a digest. */
  readonly version: string;
}

interface ReadFile {
  readonly text: string;
  readonly found: readonly FoundObject[];
  readonly findings: readonly Finding[];
}

export class MeshFiles {
  /** As they were when last read, by path. */
  #files: ReadonlyMap<string, ReadFile> = new Map();
  #objects: MeshObjects | undefined;

  async read(paths: readonly string[]): Promise<ReadFiles> {
    const { files, findings: unreadable } = await readPolicyFiles(paths);
    const slice = new TimeSlice();
    const read = new Map<string, ReadFile>();
    for (const file of files) read.set(file.file, await this.#readOne(file, slice));
    this.#files = read;
    const order = files.map(({ file }) => file);
    const duplicates = new Findings();
    const objects = byKind(
      [...read.values()].flatMap(({ found }) => found),
      duplicates,
    );
    const found = [...[...read.values()].flatMap(({ findings }) => findings), ...duplicates.sorted(order)];
    const all = [...unreadable, ...sortedFindings(found, order)];
    const hasErrors = all.some(({ severity }) => severity === 'error');
    if (!hasErrors) this.#objects = withListsOf(this.#objects, objects);
    return { objects: hasErrors ? undefined : this.#objects, findings: all, version: versionOf(files) };
  }

  async #readOne(file: TextFile, slice: TimeSlice): Promise<ReadFile> {
    const known = this.#files.get(file.file);
    if (known?.text === file.text) return known;
    const findings = new Findings();
    const found = await objectsOfFile(file, findings, slice);
    return { text: file.text, found, findings: findings.sorted([file.file]) };
  }
}

function versionOf(files: readonly TextFile[]): string {
  const hash = createHash('sha256');
  for (const { file, text } of files) hash.update(`${file.length} ${text.length} ${file}${text}`);
  return hash.digest('hex').slice(0, 12);
}

const withListsOf = (before: MeshObjects | undefined, now: MeshObjects): MeshObjects =>
  before === undefined
    ? now
    : (Object.fromEntries(
        Object.entries(now).map(([kind, list]) => [
          kind,
          isSame(before[kind as Kind], list) ? before[kind as Kind] : list,
        ]),
      ) as unknown as MeshObjects);

const isSame = (one: readonly MeshObject<Kind>[], other: readonly MeshObject<Kind>[]): boolean =>
  one.length === other.length && one.every((object, at) => object === other[at]);
