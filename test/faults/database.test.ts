import { DATABASE_SCENARIOS } from './scenarios/database.ts';
import { ROLLING_SCENARIOS } from './scenarios/rolling.ts';
import { shortForm } from './support/short.ts';

const onOwnServer = DATABASE_SCENARIOS.filter(({ name }) => name !== 'database-disk-full');
const onSmallServer = DATABASE_SCENARIOS.filter(({ name }) => name === 'database-disk-full');

await shortForm(onOwnServer, onSmallServer, ...ROLLING_SCENARIOS);
