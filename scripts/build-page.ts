/** The page of the admin port as one HTML file: `src/page`, bundled, with its script and style inside. */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'rolldown';

const ROOT = resolve(import.meta.dirname, '..');
const SOURCES = join(ROOT, 'src/page');
/** Their licences ask that their texts stay with copies. */
export const BUNDLED = ['preact', '@preact/signals', '@preact/signals-core'];

/** In the order of the cascade. */
const STYLES = ['colours', 'controls', 'frame', 'tables', 'details', 'documents', 'notes', 'phone', 'motion'];

export const PAGE_FILE = 'gen/page/index.html';

export async function builtPage(): Promise<string> {
  const html = readFileSync(join(SOURCES, 'index.html'), 'utf8').replaceAll(/\n\s+/g, '\n');
  const style = smallStyle(
    STYLES.map((name) => readFileSync(join(SOURCES, 'style', `${name}.css`), 'utf8')).join('\n'),
  );
  const script = await bundled('main.tsx');
  return filled(filled(html, 'style', style), 'script', script).replace(
    '<!doctype html>',
    () => `<!doctype html>
<!-- npm run generate: made of src/page
${licences()}-->`,
  );
}

/** Minified, without a final newline. */
async function bundled(file: string): Promise<string> {
  const { output } = await build({
    input: join(SOURCES, file),
    tsconfig: join(SOURCES, 'tsconfig.json'),
    platform: 'browser',
    write: false,
    output: { format: 'es', minify: true, comments: false },
  });
  const [chunk, ...others] = output;
  if (others.length > 0) throw new Error(`${file} became ${output.length} files; the page must be one`);
  return chunk.code.trim();
}

/** Comments and indentation go. No text of ours holds either. */
const smallStyle = (css: string): string =>
  css
    .replaceAll(/\/\*.*?\*\//gs, '')
    .replaceAll(/\s*\n\s*/g, '\n')
    .replaceAll(/([{};,])\n/g, '$1')
    .trim();

function filled(html: string, tag: 'style' | 'script', text: string): string {
  if (text.toLowerCase().includes(`</${tag}`))
    throw new Error(`the ${tag} of the page holds </${tag}, which would end it`);
  return html.replace(
    new RegExp(`(<${tag}[^>]*>)(</${tag}>)`),
    (_all, open: string, close: string) => open + text + close,
  );
}

function licences(): string {
  return BUNDLED.map((name) => {
    const folder = join(ROOT, 'node_modules', name);
    const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version: string };
    return `\n${name} ${version}\n${readFileSync(join(folder, 'LICENSE'), 'utf8').replaceAll('--', '- -').trim()}\n`;
  }).join('');
}
