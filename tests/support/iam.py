"""Makes IAM users and roles on a test server.

iam.py ENDPOINT user NAME POLICY          prints the access key id and the secret access key
iam.py ENDPOINT user-policy NAME POLICY   puts another policy in the place of the user's
iam.py ENDPOINT role-policy NAME POLICY   puts another policy in the place of the role's
iam.py ENDPOINT role NAME TRUST POLICY    prints the role's ARN
iam.py ENDPOINT roles FILE                makes many that anyone may take on, of [{name, policy or null, boundary or null}]
iam.py ENDPOINT secret-policy NAME POLICY gives a secret a policy of its own

With ACCOUNT in the environment, in that account instead of the server's first.
"""

import json
import os
import sys

import boto3


def connect(service, endpoint):
    return boto3.client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=os.environ.get("ACCOUNT", "test"),
        aws_secret_access_key="test",
    )


def make_role(iam, name, trust, policy, boundary=None):
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    if policy:
        iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=policy)
    if boundary:
        limit = iam.create_policy(PolicyName=f"{name}-boundary", PolicyDocument=boundary)["Policy"]["Arn"]
        iam.put_role_permissions_boundary(RoleName=name, PermissionsBoundary=limit)
    return arn


def main(endpoint, kind, *arguments):
    iam = connect("iam", endpoint)
    if kind == "user":
        name, policy = arguments
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="test", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        print(key["AccessKeyId"], key["SecretAccessKey"])
    elif kind == "user-policy":
        name, policy = arguments
        iam.put_user_policy(UserName=name, PolicyName="test", PolicyDocument=policy)
    elif kind == "role-policy":
        name, policy = arguments
        iam.put_role_policy(RoleName=name, PolicyName="test", PolicyDocument=policy)
    elif kind == "role":
        print(make_role(iam, *arguments))
    elif kind == "roles":
        (path,) = arguments
        anyone = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [anyone]})
        with open(path, encoding="utf-8") as file:
            for role in json.load(file):
                make_role(iam, role["name"], trust, role["policy"], role["boundary"])
    elif kind == "secret-policy":
        name, policy = arguments
        connect("secretsmanager", endpoint).put_resource_policy(SecretId=name, ResourcePolicy=policy)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(*sys.argv[1:])
