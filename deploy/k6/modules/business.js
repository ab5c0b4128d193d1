// @ts-check
// What is counted beside requests: what people wanted, and whether they got it.
import { Counter, Rate, Trend } from 'k6/metrics';

/** Transactions that went as they should, by `transaction`. */
export const businessTransactions = new Counter('business_transactions');
/** The share of transactions that did not. */
export const failedTransactions = new Rate('business_transactions_failed');
/** From placing an order to its number. */
export const orderProcessing = new Trend('order_processing_duration', true);
/** Requests that had to be refused and were, by `case`. */
export const errorCases = new Counter('error_cases');

/**
 * Does a transaction and counts it. What throws has failed.
 * @param {string} transaction
 * @param {() => boolean | Promise<boolean>} act tells whether all went well
 */
export async function transact(transaction, act) {
    let fine = false;
    try {
        fine = await act();
    } catch (error) {
        console.error(`${transaction}: ${error}`);
    }
    failedTransactions.add(!fine, { transaction });
    if (fine) businessTransactions.add(1, { transaction });
}
