"""Example values shared by the models."""

REPORT_ID = "5e135a30-2328-44f2-b25b-b3e4eeda8dd8"
STORE_ID = "1481966498820158979"
AS_OF = "2023-01-25T18:13:22.479220Z"
