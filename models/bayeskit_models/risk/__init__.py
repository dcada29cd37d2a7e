"""Risk where the outcome is seen only for those whom someone chose to test."""
