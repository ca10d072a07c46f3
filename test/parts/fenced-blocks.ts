/** The fenced blocks of a page of docs/. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface FencedBlock {
  /** The first word after the fence: `yaml`, `sh`, `text`. */
  readonly language: string;
  /** The rest of that line: the name of a file, or how a command runs. */
  readonly title: string;
  readonly text: string;
  readonly line: number;
}

const DOCS = join(import.meta.dirname, '../../docs');

/** `page`: relative to docs/. */
export function fencedBlocks(page: string): FencedBlock[] {
  const text = readFileSync(join(DOCS, page), 'utf8');
  return [...text.matchAll(/^```(\w+)[ \t]*(.*)\n([\s\S]*?)^```$/gm)].map(
    ({ 1: language = '', 2: title = '', 3: inner = '', index }) => ({
      language,
      title,
      text: inner,
      line: text.slice(0, index).split('\n').length,
    }),
  );
}
