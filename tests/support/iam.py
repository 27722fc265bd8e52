"""Makes IAM users and roles on a test server.

iam.py ENDPOINT user NAME POLICY          prints the access key id and the secret access key
iam.py ENDPOINT role NAME TRUST POLICY    prints the role's ARN
"""

import sys

import boto3


def main(endpoint, kind, name, *documents):
    iam = boto3.client(
        "iam",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    if kind == "user":
        (policy,) = documents
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="test", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        print(key["AccessKeyId"], key["SecretAccessKey"])
    elif kind == "role":
        trust, policy = documents
        role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]
        iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=policy)
        print(role["Arn"])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
