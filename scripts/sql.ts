// `npm run sql -- "SELECT …"`: one statement as superuser on the database of the running `npm start`; --url prints its URL.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';

const file = join(process.env['CASTELLAN_DATA_DIR'] ?? '.castellan', 'running.json');
const url = databaseUrl(readFileSync(file, 'utf8'));
const statement = process.argv[2];

if (statement === undefined) {
  console.error('Usage: npm run --silent sql -- "<statement>" | --url');
  process.exitCode = 64;
} else if (statement === '--url') {
  console.log(url);
} else {
  await execute(statement);
}

async function execute(text: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const result = await client.query(text);
    for (const { command, rowCount, rows } of [result].flat()) {
      if (rows.length > 0) console.table(rows);
      else console.log(`${command} ${rowCount ?? ''}`.trim());
    }
  } finally {
    await client.end();
  }
}

function databaseUrl(text: string): string {
  const running: unknown = JSON.parse(text);
  if (typeof running === 'object' && running !== null && 'databaseUrl' in running) return String(running.databaseUrl);
  throw new Error(`${file} names no database; is \`npm start\` running?`);
}
